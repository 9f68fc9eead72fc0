"""The edge node, pure: what it publishes when, by Sparkplug 3.0 (clauses 5 and 6).

    connected ----> NBIRTH (seq 0), DBIRTH of each machine that is there ----> DDATA ...
    rebirth asked -> the same again, with the same bdSeq
    machine lost --> DDEATH            back again --> DBIRTH
    goodbye -------> NDEATH            broken off --> the broker publishes the last will, an NDEATH with the same bdSeq

Every message but a death of the node carries the next ``seq`` (0 to 255, then 0 again), so a host sees a loss. ``bdSeq`` tells one
life of the connection from the next, so that a death that comes late is not taken for that of the present one.

What changed of a machine is told once a second, the newest value of each signal; a signal that its birth did not name makes a new
birth. A device is dead when nothing of its machine is current any more: the server is away, or the line to its control is.

A birth that the broker does not take, such as for its size, is no birth: nothing is told of that device in this life of the node,
and what follows has the number that it would have had. A host would ask for the node's rebirth again and again otherwise.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from cnctwin.reading import Reading
from cnctwin.settings import Settings
from gateway.mqtt.message import Message, level
from gateway.mqtt.sparkplug.payload import DataType, Metric, MetricValue, commands, encode
from gateway.topics import TopicNames
from gateway.twin import Twin, Update
from gateway.twin.twin import RESULT_NAMES, MachineTwin
from nodesets import catalogue

PERIOD_S: Final = 1.0
REBIRTH_S: Final = 5.0
"""A rebirth is hundreds of metrics: one that is asked for sooner after the last is not given."""
REBIRTH: Final = "Node Control/Rebirth"
GOOD, STALE, BAD = 192, 500, 0
"""Values of the property Quality, by the specification's clause on it."""
_TYPES: Final = {
    "Double": DataType.DOUBLE, "Boolean": DataType.BOOLEAN, "Int32": DataType.INT32, "UInt32": DataType.INT64,
    "UInt16": DataType.INT64, "Byte": DataType.INT64, "String": DataType.STRING, "LocalizedText": DataType.STRING,
    "DateTime": DataType.DATE_TIME,
}  # fmt: skip
"""Of the catalogue's types; lists are left out."""


class EdgeNode:
    """``first_bd_seq``: of the first connection, one more than that of the last before. ``now_ms``: milliseconds since 1970 UTC."""

    name = "sparkplug"

    def __init__(self, settings: Settings, twin: Twin, topics: TopicNames, first_bd_seq: int) -> None:
        self.group, self.node = level(settings.sparkplug_group or ""), level(settings.sparkplug_node)
        self._twin = twin
        self._names = topics
        self.bd_seq = (first_bd_seq - 1) % 256
        self._seq = -1
        self._alive: dict[str, frozenset[str]] = {}
        """Machines that were born, with the signals that were there then."""
        self._stillborn: set[str] = set()
        """Machines whose birth the broker did not take."""
        self._changed: dict[str, dict[str, Reading]] = {}
        self._told_s: dict[str, float] = {}
        self._qualities: dict[tuple[str, str], int] = {}
        self._born_s = -REBIRTH_S

    @property
    def listens(self) -> tuple[str, ...]:
        return (self._topic("NCMD"),)

    def will(self, now_ms: int) -> Message:
        """The death that the broker keeps for the connection that is about to be made."""
        self.bd_seq = (self.bd_seq + 1) % 256
        return self.death(now_ms)

    def death(self, now_ms: int) -> Message:
        return Message(self._topic("NDEATH"), encode(now_ms, [self._bd(now_ms)], None), qos=1)

    def birth(self, now_ms: int, now_s: float) -> Iterator[Message]:
        """The node, then every machine that is there."""
        self._seq = -1
        self._born_s = now_s
        self._alive.clear()
        self._stillborn.clear()
        self._changed.clear()
        metrics = [self._bd(now_ms), Metric(REBIRTH, DataType.BOOLEAN, False, now_ms)]
        yield self._message("NBIRTH", now_ms, metrics)
        for machine in self._twin.machines.values():
            if _is_there(machine):
                yield self._machine_birth(machine, now_ms, now_s)

    def heard(self, payload: bytes, now_ms: int, now_s: float) -> Iterable[Message]:
        """A command to the node: the only one is to be born again. What is no payload is passed over."""
        try:
            asked = commands(payload).get(REBIRTH) is True
        except ValueError:
            return ()
        if not asked or now_s - self._born_s < REBIRTH_S:
            return ()
        return self.birth(now_ms, now_s)

    def update(self, update: Update, now_ms: int, now_s: float) -> Iterator[Message]:
        if update.machine_id in self._stillborn:
            return
        machine = self._twin.machines[update.machine_id]
        there = _is_there(machine)
        known = self._alive.get(update.machine_id)
        if known is None or (there and any(reading.signal not in known for reading in update.readings)):
            if there:
                yield self._machine_birth(machine, now_ms, now_s)
            return
        if not there:
            del self._alive[update.machine_id]
            self._changed.pop(update.machine_id, None)
            yield self._message("DDEATH", now_ms, [], update.machine_id)
            return
        self._changed.setdefault(update.machine_id, {}).update((reading.signal, reading) for reading in update.readings)

    def not_taken(self, message: Message) -> None:
        """The broker will not take this message, the last that was handed out, now or later."""
        self._seq = (self._seq - 1) % 256
        for machine_id in [one for one in self._alive if message.topic == self._topic("DBIRTH", one)]:
            del self._alive[machine_id]
            self._stillborn.add(machine_id)

    def tick(self, now_ms: int, now_s: float) -> Iterator[Message]:
        for machine_id, readings in list(self._changed.items()):
            if now_s - self._told_s.get(machine_id, 0.0) < PERIOD_S:
                continue
            del self._changed[machine_id]
            self._told_s[machine_id] = now_s
            metrics = [metric for reading in readings.values() if (metric := self._metric(machine_id, reading)) is not None]
            if metrics:
                yield self._message("DDATA", now_ms, metrics, machine_id)

    def _machine_birth(self, machine: MachineTwin, now_ms: int, now_s: float) -> Message:
        machine_id = machine.machine_id
        self._alive[machine_id] = frozenset(machine.readings)
        self._changed.pop(machine_id, None)
        self._told_s[machine_id] = now_s
        plate = {"manufacturer": machine.manufacturer, "model": machine.model, "serial_number": machine.serial_number}
        metrics = [Metric(f"Properties/{name}", DataType.STRING, text, now_ms) for name, text in plate.items()]
        found = (self._metric(machine_id, reading, whole=True) for reading in machine.readings.values())
        return self._message("DBIRTH", now_ms, metrics + [metric for metric in found if metric is not None], machine_id)

    def _metric(self, machine_id: str, reading: Reading, *, whole: bool = False) -> Metric | None:
        """None for lists and for what the catalogue does not know. ``whole``: with unit and range, as births have them."""
        row = catalogue.BY_NAME.get(reading.signal)
        if row is None or (kind := _TYPES.get(row.type)) is None:
            return None
        quality = (GOOD, STALE, BAD, BAD)[reading.status >> 30]
        properties: dict[str, float | int | str] = {}
        if whole:
            if row.unit is not None:
                properties["engUnit"] = row.unit.symbol
            if row.low is not None and row.high is not None:
                properties |= {"engLow": float(row.low), "engHigh": float(row.high)}
        if whole or self._qualities.get((machine_id, reading.signal)) != quality:
            properties["Quality"] = quality
            self._qualities[machine_id, reading.signal] = quality
        value = None if quality == BAD else _value(kind, reading.value)
        return Metric(reading.signal, kind, value, reading.source_time_ns // 1_000_000, properties)

    def _bd(self, now_ms: int) -> Metric:
        return Metric("bdSeq", DataType.INT64, self.bd_seq, now_ms)

    def _message(self, kind: str, now_ms: int, metrics: Iterable[Metric], machine_id: str | None = None) -> Message:
        self._seq = (self._seq + 1) % 256
        return Message(self._topic(kind, machine_id), encode(now_ms, metrics, self._seq))

    def _topic(self, kind: str, machine_id: str | None = None) -> str:
        device = "" if machine_id is None else f"/{self._names.of(machine_id)}"
        return f"spBv1.0/{self.group}/{kind}/{self.node}{device}"


def _is_there(machine: MachineTwin) -> bool:
    """Whether anything of the machine itself is current: Good, or Bad by the machine's own word."""
    return any(reading.status >> 30 != 1 for name, reading in machine.readings.items() if name not in RESULT_NAMES)


def _value(kind: DataType, value: object) -> MetricValue:
    """A value as its type has it; what does not fit, such as no number where one belongs, is null."""
    if value is None:
        return None
    if kind is DataType.STRING:
        return str(value)
    if kind is DataType.BOOLEAN:
        return bool(value)
    if not isinstance(value, int | float):
        return None
    return float(value) if kind is DataType.DOUBLE else int(value)
