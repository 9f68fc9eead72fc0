"""State of every machine: the latest reading of each signal, and a numbered log of what changed.

    Batch --apply()--> MachineTwin.readings          (the present)
                 '---> Update(seq, ...)              (the change: what streams, broker and store are told)

Rules
  1. ``seq`` grows by one with every update of any machine, so one number resumes a stream over all of them.
  2. A reading does not replace one with a later source time; of two with the same source time the later arrival counts.
     More than CLOCK_STEP_NS older is no disorder on the way but a clock that was set back: then the newcomer counts.
  3. A lost link degrades readings and keeps value and source time; what is worse already stays as it is.
  4. ``telemetry_time_ns`` moves with the machine's own signals only: results of the analytics describe an earlier moment.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from cnctwin.reading import UNCERTAIN_NO_COMMUNICATION, Batch, Reading
from gateway.twin.telemetry import Document, document
from nodesets import catalogue

CLOCK_STEP_NS: Final = 5_000_000_000
RESULT_NAMES: Final = frozenset(signal.name for signal in catalogue.RESULTS)


@dataclass(frozen=True, slots=True)
class Update:
    """What one batch changed. ``document`` is the telemetry document, where one of the machine's own signals was in the batch."""

    seq: int
    machine_id: str
    source_time_ns: int
    readings: tuple[Reading, ...]
    document: Document | None = None
    gap: str | None = None


@dataclass(slots=True)
class MachineTwin:
    """One machine: identification for people, and its readings by signal name."""

    machine_id: str
    manufacturer: str = ""
    model: str = ""
    serial_number: str = ""
    location: str = ""
    methods: frozenset[str] = frozenset()
    readings: dict[str, Reading] = field(default_factory=dict)
    telemetry_time_ns: int = 0

    @property
    def quality(self) -> str:
        """The worst quality among the machine's own signals; "Bad" before the first data. A lost link shows here at once."""
        own = [reading.status >> 30 for name, reading in self.readings.items() if name not in RESULT_NAMES]
        if not own:
            return "Bad"
        # One broken sensor does not make a machine Bad: its other signals are true. All of them Bad does.
        return "Bad" if min(own) >= 2 else "Uncertain" if 1 in own else "Good"

    def document(self) -> Document | None:
        """The telemetry document of the present; None before the first data."""
        return document(self.machine_id, self.telemetry_time_ns, self.readings) if self.telemetry_time_ns else None


class Twin:
    """All machines of the watched server. ``first_seq`` must be higher than any number handed out before (time does that)."""

    def __init__(self, first_seq: int, log_length: int = 2000) -> None:
        self.machines: dict[str, MachineTwin] = {}
        self.seq = first_seq
        self.log: deque[Update] = deque(maxlen=log_length)
        self.gaps = 0

    def identify(
        self, machine_id: str, *, manufacturer: str, model: str, serial_number: str, location: str, methods: Iterable[str]
    ) -> None:
        """Name plate and methods of a machine, as the server showed them."""
        machine = self.machines.setdefault(machine_id, MachineTwin(machine_id))
        machine.manufacturer, machine.model = manufacturer, model
        machine.serial_number, machine.location = serial_number, location
        machine.methods = frozenset(methods)

    def apply(self, batch: Batch) -> Update:
        """Take in a batch; the update holds the readings that were newer than what was known."""
        machine = self.machines.setdefault(batch.machine_id, MachineTwin(batch.machine_id))
        news: list[Reading] = []
        for reading in batch.readings:
            if _is_news(reading, machine.readings.get(reading.signal)):
                machine.readings[reading.signal] = reading
                news.append(reading)
        fresh = tuple(news)
        own = [reading.source_time_ns for reading in fresh if reading.signal not in RESULT_NAMES]
        if own and _counts(max(own), machine.telemetry_time_ns):
            machine.telemetry_time_ns = max(own)
        self.gaps += batch.gap is not None
        return self._log(machine, batch.source_time_ns, fresh, batch.gap)

    def degrade(self, machine_id: str, status: int = UNCERTAIN_NO_COMMUNICATION) -> Update | None:
        """Mark everything of a machine with a worse status; None where nothing changed."""
        machine = self.machines.get(machine_id)
        if machine is None:
            return None
        worse = tuple(
            new for old in machine.readings.values() if (new := old.degraded(status)) is not old and new.status != old.status
        )
        if not worse:
            return None
        for reading in worse:
            machine.readings[reading.signal] = reading
        return self._log(machine, machine.telemetry_time_ns, worse, None)

    def since(self, seq: int) -> tuple[Update, ...] | None:
        """The updates after ``seq``; None where the log no longer (or does not yet) reach there: a snapshot is needed."""
        if seq == self.seq:
            return ()
        if seq > self.seq or not self.log or seq < self.log[0].seq - 1:
            return None
        return tuple(update for update in self.log if update.seq > seq)

    def _log(self, machine: MachineTwin, time_ns: int, readings: tuple[Reading, ...], gap: str | None) -> Update:
        self.seq += 1
        shows = any(reading.signal not in RESULT_NAMES for reading in readings)
        update = Update(self.seq, machine.machine_id, time_ns, readings, machine.document() if shows else None, gap)
        self.log.append(update)
        return update


def _counts(time_ns: int, known_ns: int) -> bool:
    return time_ns >= known_ns or known_ns - time_ns > CLOCK_STEP_NS


def _is_news(reading: Reading, known: Reading | None) -> bool:
    return known is None or (
        _counts(reading.source_time_ns, known.source_time_ns)
        and (reading.source_time_ns, reading.status, reading.value) != (known.source_time_ns, known.status, known.value)
    )
