"""All conditions of one machine: limit alarms of the table, and one for each code the control has raised.

    <machine>/MT:Notification/X:Conditions
        SpindleTemperature ...   0:ExclusiveLevelAlarmType   source: the signals' group, such as Signals/Spindle
        PS0020 ...               MT:AlertType                source: the machine; made when the code is first raised
    <machine>/MA:MachineryBuildingBlocks/MA:Monitoring/MA:Health/DI:DeviceHealthAlarms
        DeviceFailure ...        DI:FailureAlarmType ...     source: the machine

asyncua delivers an event to the subscribers of one node only, so each is sent to its source, to the machine and to the Server
object; a control alarm also to Messages, and as CNC:CncAlarmType to the CNC interface, where OPC 40502 looks for it: the same
event with the same EventId and ConditionId.
"""

from __future__ import annotations

import logging
import time
import uuid
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from asyncua import ua
from asyncua.common.events import Event

from cnctwin.reading import GOOD, Columns, quality
from nodesets.catalogue import MACHINE, NUMERIC
from nodesets.states import MachineState
from opcua_server.alarms import memory
from opcua_server.alarms.branch import Branch
from opcua_server.alarms.condition import Condition
from opcua_server.alarms.dialog import ASKING, Dialog
from opcua_server.alarms.fields import Face, rows
from opcua_server.alarms.groups import CONTROL, Groups, explained
from opcua_server.alarms.health import ALARMS, MATTERS, WARNING_AT, WORDS, Health, foremost, reasons
from opcua_server.alarms.limits import LEVELS, Watch
from opcua_server.alarms.nodes import COMMON, LATCHING, ConditionNodes
from opcua_server.alarms.registry import Held, Registry
from opcua_server.alarms.table import LimitAlarm

if TYPE_CHECKING:
    from opcua_server.space.instances import Builder, Wanted

_V: Final = ua.VariantType
_logger = logging.getLogger(__name__)
LOWEST_ALERT: Final = 334
"""Severity from which on an event of a machine tool is an alert (OPC 40501-1, 8.6.2)."""
PROGRAM_STOP: Final = "ProgramStop"
MOST_CODES: Final = 200
"""Codes that get nodes of their own; a control that knows more has conditions without (OPC 10000-9, 4.10 allows that)."""
_NUMBER: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
_STATUS: Final = {signal.name: index for index, signal in enumerate(MACHINE)}
_NAN: Final = float("nan")
_ACTIVE: Final = "Active"


@dataclass(frozen=True, slots=True)
class Places:
    """Where a machine's conditions are and who hears of them.

    ``builder``: makes a builder of the machine's namespace. ``above``: what the folders of conditions and of groups are below.
    ``wanted``: paths to a tree. ``groups``: a group of signals -> its object. ``health``: the folder DeviceHealthAlarms;
    ``device_health``: the variable beside it. ``results``: signal of the analytics -> the place of its value. ``nodes``: signal ->
    its node.
    """

    builder: Callable[[], Builder]
    above: ua.NodeId
    wanted: Callable[[Sequence[str]], Wanted]
    parent: ua.NodeId
    machine: ua.NodeId
    messages: ua.NodeId
    interface: ua.NodeId
    server: ua.NodeId
    health: ua.NodeId
    device_health: ua.NodeId
    groups: Mapping[str, ua.NodeId]
    nodes: Mapping[str, ua.NodeId]
    results: Mapping[str, Any]


class MachineAlarms:
    """``send``: gives an event to whoever listens. ``builder``: the one the machine is built with. ``changed``: there is something
    new to keep on disk."""

    def __init__(
        self, name: str, places: Places, table: Sequence[LimitAlarm], registry: Registry, send: Callable[[Event], Any],
        builder: Builder, wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:  # fmt: skip
        self.changed = False
        self._name = name
        self._places = places
        self._registry = registry
        self._send = send
        self._wall_ns = wall_ns
        self._outbox: deque[Event] = deque()
        self._codes: dict[str, Held] = {}
        self._unsure: set[str] = set()
        """Codes that were active before a restart of the server or of the machine, and not heard of since."""
        types = builder.types
        self._alert, self._cnc_alarm = types.type_id("MT:AlertType"), types.type_id("CNC:CncAlarmType")
        self._level_alarm = types.type_id("0:ExclusiveLevelAlarmType")
        self.health = Health.NORMAL
        self._health = {kind: self._health_condition(builder, kind) for kind in ALARMS}
        self._limits = [(row, Watch(row.limits), self._limit_condition(builder, row)) for row in table]
        self._fixed = {held.condition.name: held for held in (*self._health.values(), *(held for _, _, held in self._limits))}
        """Conditions that there are from the beginning, by name."""
        self._groups = Groups(builder, places.above, {name: held.face.node_id for name, held in self._fixed.items()}, table)
        for held in self._fixed.values():
            held.groups = tuple(self._groups.of[held.face.node_id])
        self._explained: dict[str, str] = {}
        self._is_unexplained = True
        """Whether a condition has changed since it was looked what explains what."""
        self._dialog = Dialog.nobody_asked(PROGRAM_STOP, _new_id, self._wall_ns())
        self._stop = self._dialog_condition(builder, self._dialog)

    # What happens -----------------------------------------------------------------------------------------------------

    def raised(self, code: str, message: str, severity: int, now_ns: int) -> None:
        """The control shows an alarm."""
        held = self._of_code(code)
        self._unsure.discard(code)
        self._tell(held, held.condition.observe(_ACTIVE, min(max(severity, LOWEST_ALERT), 1000), message, now_ns))

    def cleared(self, code: str, message: str, now_ns: int) -> None:
        """The control shows an alarm no longer."""
        held = self._of_code(code)
        self._unsure.discard(code)
        self._tell(held, held.condition.observe(None, held.condition.present.severity, _over(message), now_ns))

    def stopped(self, prompt: str, severity: int, now_ns: int) -> None:
        """A program has come to M0 or M1: whoever operates the machine is asked how to go on."""
        self._tell(self._stop, self._dialog.observe(ASKING, severity, prompt, now_ns))

    def bind(self, act: Callable[[str], Awaitable[None]]) -> None:
        """Let ``act(command)`` carry out what is answered."""
        self._dialog.act = act

    def doubt(self) -> None:
        """The machine was started anew: whether an alarm is still on will show with its next AlarmCount."""
        self._unsure.update(code for code, held in self._codes.items() if held.condition.level is not None)

    def clock_set(self, by_ns: int) -> None:
        """The wall clock has been set."""
        for held in self._all():
            held.condition.clock_set(by_ns)

    async def watch(self, columns: Columns, now_ns: int) -> None:
        """One tick: judge the limits, let time pass, tell what came of it."""
        for row, watch, held in self._limits:
            self._judge(row, watch, held, columns, now_ns)
        self._explain(now_ns, releases=False)  # first: what follows from something else is told as suppressed from the beginning
        self._watch_health(columns, now_ns)
        self._explain(now_ns)  # last: what ends with its cause is over before it is suppressed no longer
        if self._dialog.level is not None and int(columns.numbers[_NUMBER["Machine/State"]]) != MachineState.HELD:
            self._tell(self._stop, self._dialog.observe(None, self._dialog.present.severity, "Answered at the machine", now_ns))
        if self._unsure and columns.statuses[_STATUS["Machine/AlarmCount"]] == GOOD:
            self._settle(columns, now_ns)
        wall_ns = self._wall_ns()
        for held in self._all():
            if held.condition.is_shelved:
                told = held.condition.pass_time(wall_ns)
                if not held.condition.is_shelved:
                    self._tell(held, told)
        await self.flush()

    async def flush(self) -> None:
        """Hand out what is to be told."""
        while self._outbox:
            await self._send(self._outbox.popleft())

    def _judge(self, row: LimitAlarm, watch: Watch, held: Held, columns: Columns, now_ns: int) -> None:
        value, status = self._input(row.signal, columns)
        if status != held.condition.quality:
            told = held.condition.judge(status, now_ns)
            if told:
                self._tell(held, told)
            else:
                self._show(held)
        means_something = not row.only_while or bool(columns.numbers[_NUMBER[row.only_while]])
        level = watch.see(value if quality(status) == "Good" and means_something else _NAN, now_ns / 1e9)
        condition = held.condition
        if level != condition.level:
            severity = row.limits.severity[level] if level is not None else condition.present.severity
            self._tell(held, condition.observe(level, severity, row.message(level, value), now_ns))

    def _watch_health(self, columns: Columns, now_ns: int) -> None:
        """How the device is; what is not known changes nothing."""
        if quality(int(columns.statuses[_STATUS["Machine/State"]])) != "Good":
            return
        found = reasons(
            MachineState(int(columns.numbers[_NUMBER["Machine/State"]])),
            str(columns.objects.get("Machine/AlarmText") or ""),
            {row.name: held.condition.level for row, _, held in self._limits},
            [(name, float(columns.numbers[_NUMBER[name]])) for name in WARNING_AT],
        )
        self.health = foremost(found)
        for kind, held in self._health.items():
            level, condition = (_ACTIVE if kind in found else None), held.condition
            is_news = level is not None and condition.enabled and found[kind] != condition.present.message
            if level != condition.level or is_news:
                message = found.get(kind, _over(condition.present.message))
                self._tell(held, condition.observe(level, ALARMS[kind][2], message, now_ns))

    def _explain(self, now_ns: int, releases: bool = True) -> None:
        """Suppress what a group explains, and only that. ``releases``: whether what nothing explains any more comes back now."""
        if not self._is_unexplained:
            return
        self._is_unexplained = not releases
        active = {code: CONTROL for code, held in self._codes.items() if held.condition.is_active}
        active |= {name: "" for name, held in self._fixed.items() if held.condition.is_active}
        found = explained(active) if active else {}
        if not releases:
            found = self._explained | found
        if found == self._explained:
            return
        for name in sorted({name for name, _ in found.items() ^ self._explained.items()}):
            held = self._fixed.get(name)
            if held is None:
                continue  # no alarm of this installation
            told = held.condition.explain(found.get(name, ""), now_ns)
            if told:
                self._tell(held, told)
            else:
                self._show(held)
        self._explained = found

    def _input(self, signal: str, columns: Columns) -> tuple[float, int]:
        held = self._places.results.get(signal)
        if held is None:
            return float(columns.numbers[_NUMBER[signal]]), int(columns.statuses[_STATUS[signal]])
        data = held.value
        content = data.Value.Value if data.Value is not None else None
        status = data.StatusCode.value if data.StatusCode is not None else 0
        return (_NAN if content is None else float(content)), status

    def _settle(self, columns: Columns, now_ns: int) -> None:
        """Alarms that are in doubt and that the control no longer shows are over."""
        count = int(columns.numbers[_NUMBER["Machine/AlarmCount"]])
        shown = {str(columns.objects.get("Machine/AlarmCode") or "")} if count == 1 else self._unsure if count else set()
        for code in sorted(self._unsure - shown):
            self.cleared(code, self._codes[code].condition.present.message, now_ns)
        self._unsure.clear()

    # Telling ----------------------------------------------------------------------------------------------------------

    def _tell(self, held: Held, branches: list[Branch]) -> None:
        """Send what is said of a condition's branches, and show its nodes."""
        now_ns = self._wall_ns()
        for branch in branches:
            self._outbox.extend(held.events(branch, now_ns))
        self.changed = self._is_unexplained = True
        self._show(held)

    # Making -----------------------------------------------------------------------------------------------------------

    def _limit_condition(self, builder: Builder, row: LimitAlarm) -> Held:
        places, limits = self._places, row.limits
        constants: dict[str, tuple[Any, ua.VariantType]] = {
            "OnDelay": (limits.on_delay_s * 1000.0, _V.Double),
            "OffDelay": (limits.off_delay_s * 1000.0, _V.Double),
        }
        for level in LEVELS:
            if level in limits.at:
                constants[f"{level}Limit"] = (limits.at[level], _V.Double)
                constants[f"{level}Deadband"] = (limits.deadband, _V.Double)
                constants[f"Severity{level}"] = (limits.severity[level], _V.UInt16)
        source = places.groups[row.source]
        face = Face(
            self._id(row.name), self._level_alarm, source, f"{self._name}/{row.source}", places.nodes[row.signal], True, constants,
            row.matter, f"{row.what} at a limit. {row.advice}",
        )  # fmt: skip
        emitters = tuple((node_id, face) for node_id in (source, places.machine, places.server))
        want = places.wanted([*COMMON, *(LATCHING if row.latches else ()), *(f"0:{name}" for name in constants)])
        severity = limits.severity[next(iter(limits.at))]
        condition = Condition.new(row.name, _new_id, self._wall_ns(), severity, row.latches)
        return self._made(condition, face, emitters, builder, want)

    def _health_condition(self, builder: Builder, kind: Health) -> Held:
        places = self._places
        name, type_name, severity = ALARMS[kind]
        face = Face(
            self._id(name, places.health), builder.types.type_id(type_name), places.machine, self._name, places.device_health,
            matter=MATTERS[kind], about=f"NAMUR NE 107: {WORDS[name]}",
        )  # fmt: skip
        emitters = tuple((node_id, face) for node_id in (places.machine, places.server))
        condition = Condition.new(name, _new_id, self._wall_ns(), severity)
        return self._made(condition, face, emitters, builder, places.wanted(COMMON), places.health)

    def _dialog_condition(self, builder: Builder, dialog: Dialog) -> Held:
        """The question after a program stop; nothing of it is kept, as no program survives a restart."""
        places = self._places
        kind, about = builder.types.type_id("0:DialogConditionType"), "How to go on after a program stop (M0, M1)"
        face = Face(self._id(PROGRAM_STOP), kind, places.machine, self._name, ua.NodeId(), about=about)
        emitters = tuple((emitter, face) for emitter in (places.messages, places.machine, places.server))
        return self._made(dialog, face, emitters, builder, places.wanted(("0:DialogState/0:TransitionTime", "0:Respond2")))

    def _of_code(self, code: str) -> Held:
        """The condition of a code of the control; made when it is not known yet."""
        held = self._codes.get(code)
        if held is None:
            held = self._codes[code] = self._code_condition(Condition.new(code, _new_id, self._wall_ns(), LOWEST_ALERT))
        return held

    def _code_condition(self, condition: Condition) -> Held:
        places, code = self._places, condition.name
        node_id = self._id(code)
        face = Face(
            node_id, self._alert, places.machine, self._name, ua.NodeId(), constants={"ErrorCode": (code, _V.String)},
            about=f"Alarm {code} of the control",
        )  # fmt: skip
        at_interface = Face(
            node_id, self._cnc_alarm, places.machine, self._name, ua.NodeId(), constants={"AlarmIdentifier": (code, _V.String)}
        )
        emitters = (
            *((emitter, face) for emitter in (places.messages, places.machine, places.server)), (places.interface, at_interface),
        )  # fmt: skip
        if len(self._codes) >= MOST_CODES:
            self._make_room()
            held = self._made(condition, face, emitters, None, {})
            held.groups = self._groups.take_in(code, node_id, None)
            return held
        builder = places.builder()
        held = self._made(condition, face, emitters, builder, places.wanted(COMMON))
        held.groups = self._groups.take_in(code, node_id, builder)
        return held

    def _make_room(self) -> None:
        """Forget the oldest of the codes without nodes, first those that nobody has to look at."""
        without = [held for held in self._codes.values() if held.nodes is None]
        if len(without) < MOST_CODES:
            return
        spare = next((held for held in without if not held.condition.is_worth_keeping), without[0])
        if spare.condition.is_worth_keeping:
            _logger.warning("%s: %s is forgotten unacknowledged: there are too many alarms", self._name, spare.condition.name)
        del self._codes[spare.condition.name]
        self._registry.remove(spare)

    def _made(
        self, condition: Condition, face: Face, emitters: Any, builder: Builder | None, want: Wanted,
        parent: ua.NodeId | None = None,
    ) -> Held:  # fmt: skip
        nodes = None
        present = rows(face, condition, condition.present, self._wall_ns())
        if builder is not None:
            nodes = ConditionNodes.make(
                builder, parent or self._places.parent, condition.name, face.type_id, face.source, want, present, face.about
            )
        held = Held(condition, face, emitters, nodes, self._tell, self.flush)
        if nodes is not None:
            if nodes.shelving is not None:
                nodes.count_down(lambda: held.condition.unshelve_ms(self._wall_ns()))
            nodes.show(present, condition.present.told_ns, is_enabled=condition.enabled)
        self._registry.add(held)
        return held

    def _id(self, name: str, parent: ua.NodeId | None = None) -> ua.NodeId:
        above = parent or self._places.parent
        return ua.NodeId(f"{above.Identifier}.{name}", above.NamespaceIndex)

    def _all(self) -> list[Held]:
        return [*(held for _, _, held in self._limits), *self._health.values(), *self._codes.values()]

    # What survives ----------------------------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """Conditions that are worth keeping, as JSON data."""
        self.changed = False
        kept = [held.condition for held in self._all() if held.condition.is_worth_keeping]
        return {"version": memory.VERSION, "conditions": {condition.name: memory.saved(condition) for condition in kept}}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a ``state``. Raises ValueError, KeyError or TypeError, and has changed nothing then."""
        if state["version"] != memory.VERSION:
            raise ValueError(f"its version is {state['version']!r}")
        now_ns = self._wall_ns()
        conditions = {
            str(name): memory.restored(str(name), content, _new_id, now_ns) for name, content in state["conditions"].items()
        }
        for row, _, _ in self._limits:
            if row.name in conditions and conditions[row.name].present.level not in (None, *LEVELS):
                raise ValueError(f"{row.name}: level is {conditions[row.name].present.level!r}")
        for _, watch, held in self._limits:
            found = conditions.pop(held.condition.name, None)
            if found is not None:
                found.latches = held.condition.latches
                found.latched = found.latched and bool(found.latches)
                held.condition = found
                watch.level = found.present.level
                self._show(held)
        for held in self._health.values():
            found = conditions.pop(held.condition.name, None)
            if found is not None:
                held.condition = found
                self._show(held)
        for code, condition in conditions.items():
            held = self._codes[code] = self._code_condition(condition)
            self._show(held)
        self._explained, self._is_unexplained = {}, True
        self.doubt()

    def _show(self, held: Held) -> None:
        if held.nodes is not None:
            present = rows(held.face, held.condition, held.condition.present, self._wall_ns())
            held.nodes.show(present, held.condition.present.told_ns, is_enabled=held.condition.enabled)


def _over(message: str) -> str:
    """What the event says in which an alarm is no longer active: lists of events show little else."""
    return f"{message} (over)"


def _new_id() -> bytes:
    return uuid.uuid4().bytes
