"""The analytics of one machine: batches in, results out. Pure; time and training threads belong to the program around it.

    batch --frames--> features --expectations--> residuals --detectors--> scores --fusion--> anomalous, explanation
                  '--> life models --> tool and spindle life --> schedule

Results are those of the last frame, under its source time. Their status says how far they can be trusted:

    waiting (BadWaitingForInitialData)   not enough seen yet, or nothing to judge (no tool in the spindle)
    Uncertain (sub-normal)               judged by less than usual: a situation that is new, signals that are Bad
    Uncertain (no communication)         the machine is away; the value is the last one there was
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from analytics.detectors import DETECTORS, Detector, Sample, Score
from analytics.detectors.detector import Counts, lacking
from analytics.expectations import Expectations, Judged, Situation
from analytics.features import FEATURES, OF_AN_EDGE, SIGNALS, TEXTS, Extractor, number
from analytics.frames import Frame, Frames
from analytics.fusion import Fused, Fusion
from analytics.hours import SIGNAL as HOURS
from analytics.hours import MachineHours
from analytics.rul import MODELS, Estimate, RulModel
from analytics.schedule import schedule
from cnctwin.predictors import MaintenanceRecord
from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, GOOD, UNCERTAIN_NO_COMMUNICATION, Batch, Reading, Value
from nodesets.catalogue import BY_NAME

VERSION: Final = 1
UNCERTAIN_SUB_NORMAL: Final = 0x40950000
SETTLE_S: Final = 1.5
SETTLE_ROWS: Final = 3
"""Time of the machine after a change of situation that is neither learned nor scored, and rows at the most: drives accelerate,
filters follow. By rows alone little but long cuts was ever looked at in a faster simulation."""
RUNNING: Final = 3.0
_BANDS_RPM: Final = (60.0, 2000.0, 4000.0, 8000.0)
"""Standing, and four speed bands an octave apart: noise, power and balance follow the speed."""
ABNORMAL_STATES: Final = frozenset((0.0, 6.0, 7.0, 8.0))
"""Off, alarm, emergency stop, maintenance: what happens then is no baseline of anything."""


@dataclass(slots=True)
class Pending:
    """A training a detector asks for: ``run`` in a thread, then ``done`` with its result before the next batch."""

    run: Callable[[], Any]
    done: Callable[[Any], None]


class Watcher:
    """One machine. ``seed`` decides everything random in it."""

    def __init__(self, machine_id: str, seed: int) -> None:
        self.machine_id = machine_id
        self.rows = 0
        self.fused: Fused | None = None
        self.plan: list[MaintenanceRecord] = []
        self._frames = Frames(SIGNALS, TEXTS)
        self._extractor = Extractor()
        self._expectations = Expectations(len(FEATURES))
        self._detectors = {name: make(len(FEATURES), seed) for name, make in DETECTORS.items()}
        self._fusion = Fusion()
        self._hours = MachineHours()
        self._models = {name: make() for name, make in MODELS.items()}
        self._scores: dict[str, Score | None] = dict.fromkeys(self._detectors)
        self._estimates: dict[str, Estimate] = {}
        self._situation: Situation | None = None
        self._settling = 0
        self.time_ns = 0
        """Source time of the last row."""
        self._sure = True
        self._away = False
        self._cut_min: dict[int, float] = {}

    def add(self, batch: Batch) -> Iterator[Pending]:
        """Take a batch. Each training it yields must be carried out before the iterator goes on: rows wait for it."""
        self._away = bool(batch.readings) and all(item.quality == "Uncertain" for item in batch.readings)
        for frame in self._frames.add(batch):
            self._frame(frame)
            for detector in self._detectors.values():
                run = detector.training()
                if run is not None:
                    yield Pending(run, detector.adopt)

    def _frame(self, frame: Frame) -> None:
        self.rows += 1
        self.time_ns = frame.time_ns
        numbers = {name: float(frame.values[i]) for i, name in enumerate(SIGNALS) if frame.valid[i]}
        hours = self._hours.at(frame.time_ns, numbers.pop(HOURS, None))
        if hours is not None:
            numbers[HOURS] = hours
        row_s = self._hours.row_s(frame.time_ns, fresh=frame.fresh)
        for name, model in self._models.items():
            model.update(frame.time_ns, numbers, fresh=frame.fresh, row_s=row_s)
            self._estimates[name] = model.estimate()
        values, valid = self._extractor.features(frame)
        situation = situation_of(frame)
        minutes = numbers.get("Tool/CuttingTime")
        if situation.tool and minutes is not None:
            if minutes < self._cut_min.get(situation.tool, 0.0) - 1e-6:
                self._expectations.forget(situation.tool, OF_AN_EDGE)
            self._cut_min[situation.tool] = minutes
        self._follow(situation, row_s, fresh=frame.fresh)
        judged = self._expectations.judge(situation, values, valid)
        sample = _sample(frame, judged, numbers, len(FEATURES), settled=self._settling == 0)
        # Without residuals only what needs none can judge; without any valid feature nothing is known of this moment.
        for name, detector in self._detectors.items():
            self._scores[name] = detector.score_one(sample) if judged is not None or not detector.needs_residuals else None
        scores = {name: score for name, score in self._scores.items() if score is not None}
        self.fused = self._fusion.fuse(frame.time_ns, scores, fresh=frame.fresh)
        self._sure = bool(valid.any())
        usual = number(frame, "Machine/State") not in ABNORMAL_STATES
        calm = not self._fusion.unusual
        if self._settling == 0 and usual and valid.any() and (calm or judged is None or not judged.known):
            self._expectations.learn(situation, values, valid, judged)
            if judged is not None and calm:
                for detector in self._detectors.values():
                    detector.learn_one(sample)

    def _follow(self, situation: Situation, row_s: float, *, fresh: bool) -> None:
        before, self._situation = self._situation, situation
        if fresh or before is None or (before.program, before.tool) != (situation.program, situation.tool):
            self._expectations.begin_run()
        if fresh or situation != before:
            self._settling = max(1, min(SETTLE_ROWS, round(SETTLE_S / row_s)))
        elif self._settling > 0:
            self._settling -= 1

    def lacking(self, there: Set[str]) -> dict[str, list[str]]:
        """What waits for ever at a server that shows only these signals: detectors and lives by name -> what each of them lacks."""
        needs = {name: detector.needs for name, detector in self._detectors.items()}
        needs |= {f"{name} life": model.needs for name, model in self._models.items()}
        return {name: found for name, groups in needs.items() if (found := lacking(groups, there))}

    def waits_for(self) -> dict[str, str]:
        """How far those are that count rows and do not judge yet: detectors and lives by name -> what they have seen of what."""
        parts: dict[str, object] = {**self._detectors, **{f"{name} life": model for name, model in self._models.items()}}
        return {name: told for name, part in parts.items() if isinstance(part, Counts) and (told := part.waits_for())}

    def results(self) -> list[Reading]:
        """Every result signal, as of the last frame; empty before the first one."""
        if self.rows == 0:
            return []
        found: dict[str, tuple[Value | None, bool]] = {}
        for name, detector in self._detectors.items():
            score = self._scores[name]
            found[detector.signal] = (None, True) if score is None else (score.value, score.sure)
        fused = self.fused
        found["Analytics/AnomalyScore"] = (None, True) if fused is None else (fused.score, fused.sure)
        found["Analytics/Anomalous"] = (None, True) if fused is None else (fused.anomalous, fused.sure)
        found["Analytics/Explanation"] = (None, True) if fused is None else (fused.explanation, fused.sure)
        for estimate in self._estimates.values():
            for signal, value in estimate.results.items():
                found[signal] = (value, True)
        return [self._reading(signal, value, sure) for signal, (value, sure) in found.items()]

    def maintenance(self) -> list[MaintenanceRecord]:
        """What is due, the most urgent first."""
        return schedule(self.time_ns, self._estimates.values())

    def _reading(self, signal: str, value: Value | None, sure: bool) -> Reading:
        if value is None:
            status = BAD_WAITING_FOR_INITIAL_DATA
        elif self._away:
            status = UNCERTAIN_NO_COMMUNICATION
        else:
            status = GOOD if sure and self._sure else UNCERTAIN_SUB_NORMAL
        if isinstance(value, float):
            row = BY_NAME[signal]
            low = row.low if row.low is not None else value
            high = row.high if row.high is not None else value
            value = min(max(value, low), high)
        return Reading(signal, value, status, self.time_ns, self.time_ns)

    def state(self) -> dict[str, Any]:
        """Everything learned, as nested dicts and lists of numbers, texts and arrays."""
        return {
            "version": VERSION,
            "features": [feature.signal for feature in FEATURES],
            "rows": self.rows,
            "expectations": self._expectations.state(),
            "fusion": self._fusion.state(),
            "hours": self._hours.state(),
            "detectors": {name: detector.state() for name, detector in self._detectors.items()},
            "models": {name: model.state() for name, model in self._models.items()},
        }

    def restore(self, state: Mapping[str, Any]) -> list[str]:
        """Take up what was learned; returns what could not be and begins anew, by name. A whole other version raises ValueError."""
        if state.get("version") != VERSION or list(state.get("features", ())) != [feature.signal for feature in FEATURES]:
            raise ValueError("made by another version")
        self._expectations.restore(state["expectations"])
        self._fusion.restore(state["fusion"])
        self._hours.restore(state)
        kept: list[tuple[str, Detector | RulModel, Any]] = [
            *((name, part, state["detectors"].get(name)) for name, part in self._detectors.items()),
            *((name, part, state["models"].get(name)) for name, part in self._models.items()),
        ]
        failed = []
        for name, part, content in kept:
            try:
                part.restore(content)
            except (KeyError, TypeError, ValueError, AttributeError):
                failed.append(name)
        return failed


def situation_of(frame: Frame) -> Situation:
    """What the machine does in this frame. Program by its main name, so that subprograms share their caller's baseline."""
    program = frame.texts.get(TEXTS[0]) or frame.texts.get(TEXTS[1]) or ""
    speed = number(frame, "Spindle/ActSpeed")
    parts = (
        f"s{_digit(number(frame, 'Machine/State'))}",
        f"c{_digit(number(frame, 'Tool/InCut'))}",
        f"n{'-' if speed is None else sum(speed >= band for band in _BANDS_RPM)}",
        f"m{_digit(number(frame, 'Coolant/IsOn'))}",
    )
    running = number(frame, "Machine/State") in (None, RUNNING)
    return Situation(program if running else "", int(number(frame, "Tool/Number") or 0), "".join(parts))


def _digit(value: float | None) -> str:
    return "-" if value is None else str(int(value))


def _sample(frame: Frame, judged: Judged | None, numbers: Mapping[str, float], n_features: int, *, settled: bool) -> Sample:
    residuals, valid, known = np.zeros(n_features), np.zeros(n_features, dtype=bool), False
    if judged is not None:
        residuals, valid, known = judged.residuals, judged.valid, judged.known
    return Sample(frame.time_ns, residuals, valid, known, settled, numbers, frame.fresh)
