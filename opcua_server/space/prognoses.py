"""Prognoses that the machine itself can make (OPC 40501-1, 8.5): when the job ends, when coolant has to be filled up.

    CurrentJobEnd   now + what is left of the run + the runs after it, each as long as the last one
    CoolantRefill   where the fall of the level, over the last hour, meets the level at which it is filled up

Without a job or a fall there is nothing to predict: BadWaitingForInitialData, as with the results of the analytics.
"""

from __future__ import annotations

from collections import deque
from datetime import datetime, timedelta
from typing import Any, Final

from asyncua import ua

from cnctwin.reading import BAD_WAITING_FOR_INITIAL_DATA, Columns
from nodesets.catalogue import NUMERIC
from opcua_server.space import layout
from opcua_server.space.instances import Builder
from opcua_server.space.publish import put, shown

_V = ua.VariantType
_AT: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
_LEFT, _LAST, _LEVEL = _AT["Channel/RemainingTime"], _AT["Machine/LastCycleTime"], _AT["Coolant/Level"]
REFILL_PERCENT: Final = 62.0
"""Level at which the tank is filled up."""
LOOK_S: Final = 30.0
"""Between two looks at the level: it moves by a thousandth of a per cent a second."""
WINDOW: Final = 120
LEAST: Final = 20
"""Looks before anything is said: ten minutes."""
STEP: Final = timedelta(seconds=1)
"""A prediction that moved by less is not told again."""
FARTHEST: Final = timedelta(days=3650)


class Prognoses:
    """``job``: order that is carried out, empty for none; ``runs_left``: of it, after the one that is cut."""

    def __init__(self, builder: Builder, machine: ua.NodeId) -> None:
        at = builder.at
        self.job = ""
        self.runs_left = 0
        self._end = builder.value(at(machine, f"{layout.JOB_END}/MT:PredictedTime"))
        self._source = builder.value(at(machine, f"{layout.JOB_END}/MT:SourceIdentifier"))
        self._refill = builder.value(at(machine, f"{layout.REFILL}/MT:PredictedTime"))
        self._levels: deque[tuple[datetime, float]] = deque(maxlen=WINDOW)
        for held in (self._end, self._refill):
            put(held, shown(None, _V.Null, BAD_WAITING_FOR_INITIAL_DATA, builder.now, builder.now))

    def write(self, columns: Columns, moment: datetime, now: datetime) -> None:
        """One tick."""
        left_s = float(columns.numbers[_LEFT])
        if self._source.value.Value.Value != self.job:
            put(self._source, shown(self.job, _V.String, 0, moment, now))
        if left_s > 0.0:
            each_s = max(float(columns.numbers[_LAST]), left_s)
            self._say(self._end, moment + timedelta(seconds=left_s + self.runs_left * each_s), moment, now)
        else:
            self._say(self._end, None, moment, now)
        level = float(columns.numbers[_LEVEL])
        if not self._levels or (moment - self._levels[-1][0]).total_seconds() >= LOOK_S:
            if self._levels and level > self._levels[-1][1] + 2.0:
                self._levels.clear()  # it was filled up
            self._levels.append((moment, level))
            self._say(self._refill, self._refill_at(), moment, now)

    def _refill_at(self) -> datetime | None:
        """Where the line through the levels meets the one at which it is filled up; None while it does not fall."""
        if len(self._levels) < LEAST:
            return None
        begin = self._levels[0][0]
        hours = [(moment - begin).total_seconds() / 3600.0 for moment, _ in self._levels]
        levels = [level for _, level in self._levels]
        mean_h, mean = sum(hours) / len(hours), sum(levels) / len(levels)
        spread = sum((hour - mean_h) ** 2 for hour in hours)
        slope = sum((hour - mean_h) * (level - mean) for hour, level in zip(hours, levels, strict=True)) / spread if spread else 0.0
        if slope >= -1e-3:
            return None
        ahead = timedelta(hours=max(mean_h + (REFILL_PERCENT - mean) / slope, hours[-1]))
        return begin + ahead if ahead < FARTHEST else None

    @staticmethod
    def _say(held: Any, predicted: datetime | None, moment: datetime, now: datetime) -> None:
        before = held.value.Value.Value
        if predicted is None:
            if before is not None:
                put(held, shown(None, _V.Null, BAD_WAITING_FOR_INITIAL_DATA, moment, now))
        elif before is None or abs(predicted - before) >= STEP:
            put(held, shown(predicted, _V.DateTime, 0, moment, now))
