"""Prognoses that the machine itself can make (OPC 40501-1, 8.5): when the job ends, when coolant has to be filled up.

    CurrentJobEnd   now + what is left of the run + the runs after it, each as long as the last one; then when it did end
    CoolantRefill   where the fall of the level, over the last hour, meets the level at which it is filled up; while no fall is
                    seen, how long it lasts with the pump running, by the coolant unit's data sheet

A prognosis is there from its first prediction on.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from asyncua import ua
from asyncua.server.address_space import AttributeValue

from cnctwin.reading import Columns
from nodesets.catalogue import MACHINE, NUMERIC
from opcua_server.space import layout
from opcua_server.space.changes import ModelChanges
from opcua_server.space.instances import Builder
from opcua_server.space.publish import put, shown
from opcua_server.space.types import HAS_COMPONENT

_V = ua.VariantType
_AT: Final = {signal.name: index for index, signal in enumerate(NUMERIC)}
_LEFT, _LAST, _LEVEL = _AT["Channel/RemainingTime"], _AT["Machine/LastCycleTime"], _AT["Coolant/Level"]
_STATUS: Final = {signal.name: index for index, signal in enumerate(MACHINE)}
_LEFT_STATUS, _LEVEL_STATUS = _STATUS["Channel/RemainingTime"], _STATUS["Coolant/Level"]
REFILL_PERCENT: Final = 62.0
"""Level at which the tank is filled up."""
LOOK_S: Final = 30.0
"""Between two looks at the level: it moves by a thousandth of a per cent a second."""
WINDOW: Final = 120
LEAST: Final = 20
"""Looks before the fall that was seen counts: ten minutes."""
USUAL_FALL: Final = 1.1
"""What chips and mist carry away of a mill's tank while its pump runs, in % of it an hour."""
LEAST_FALL: Final = 1e-3
STEP: Final = timedelta(seconds=1)
"""A prediction that moved by less is not told again."""
MOST_HOURS: Final = 24.0 * 3650.0


class _Prognosis:
    """One of them, with what else its type asks for: text by name."""

    def __init__(self, builder: Builder, machine: ua.NodeId, name: str, kind: str, about: str, changes: ModelChanges) -> None:
        self._about = about
        self._parent = builder.at(machine, layout.PROGNOSES)
        self._type = builder.types.type_id(kind)
        self._name = ua.QualifiedName(name, builder.namespace)
        self._changes = changes
        self._node: ua.NodeId | None = None
        self._held: dict[str, AttributeValue] = {}

    def say(self, predicted: datetime, texts: Mapping[str, str], moment: datetime, now: datetime) -> None:
        is_new = self._node is None
        if self._node is None:
            builder, self._node = self._changes.add_alike(self._parent, HAS_COMPONENT, self._name, self._type, {})
            builder.describe(self._node, self._about)
            self._held = {name: builder.value(builder.at(self._node, f"MT:{name}")) for name in ("PredictedTime", *texts)}
        if is_new or abs(predicted - self._held["PredictedTime"].value.Value.Value) >= STEP:
            put(self._held["PredictedTime"], shown(predicted, _V.DateTime, 0, moment, now))
        for name, text in texts.items():
            if is_new or self._held[name].value.Value.Value != text:
                put(self._held[name], shown(text, _V.String, 0, moment, now))


class Prognoses:
    """``job``: order that is carried out, empty for none; ``runs_left``: of it, after the one that is cut."""

    def __init__(self, builder: Builder, machine: ua.NodeId, changes: ModelChanges) -> None:
        self.job = ""
        self.runs_left = 0
        changes.follow(builder, builder.at(machine, layout.PROGNOSES))
        self._end = _Prognosis(
            builder,
            machine,
            "CurrentJobEnd",
            "MT:ProductionJobEndPrognosisType",
            "When the run or the job order will be over",
            changes,
        )
        self._refill = _Prognosis(
            builder,
            machine,
            "CoolantRefill",
            "MT:UtilityChangePrognosisType",
            "When the coolant will have to be filled up",
            changes,
        )
        self._runs_of: str | None = None
        """Order whose end is predicted, empty for a run without one; None while nothing is under way."""
        self._levels: deque[tuple[datetime, float]] = deque(maxlen=WINDOW)

    def write(self, columns: Columns, moment: datetime, now: datetime) -> None:
        """One tick; one that says nothing changes nothing."""
        if int(columns.statuses[_LEFT_STATUS] | columns.statuses[_LEVEL_STATUS]) >> 31:
            return
        left_s = float(columns.numbers[_LEFT])
        if left_s > 0.0:
            each_s = max(float(columns.numbers[_LAST]), left_s)
            self._runs_of = self.job
            predicted = moment + timedelta(seconds=left_s + self.runs_left * each_s)
            self._end.say(predicted, {"SourceIdentifier": self.job}, moment, now)
        elif self._runs_of is not None and not self.job:  # an order that goes on is between two of its runs
            self._end.say(moment, {"SourceIdentifier": self._runs_of}, moment, now)
            self._runs_of = None
        level = float(columns.numbers[_LEVEL])
        if not self._levels or (moment - self._levels[-1][0]).total_seconds() >= LOOK_S:
            if self._levels and level > self._levels[-1][1] + 2.0:
                self._levels.clear()  # it was filled up
            self._levels.append((moment, level))
            ahead = timedelta(hours=min(self._hours_to_refill(), MOST_HOURS))
            self._refill.say(moment + ahead, {"UtilityName": "Coolant"}, moment, now)

    def _hours_to_refill(self) -> float:
        """Until the line through the levels meets the one at which it is filled up."""
        _, level = self._levels[-1]
        usual = max(level - REFILL_PERCENT, 0.0) / USUAL_FALL
        if len(self._levels) < LEAST:
            return usual
        begin = self._levels[0][0]
        hours = [(moment - begin).total_seconds() / 3600.0 for moment, _ in self._levels]
        levels = [level for _, level in self._levels]
        mean_h, mean = sum(hours) / len(hours), sum(levels) / len(levels)
        spread = sum((hour - mean_h) ** 2 for hour in hours)
        slope = sum((hour - mean_h) * (level - mean) for hour, level in zip(hours, levels, strict=True)) / spread if spread else 0.0
        if slope >= -LEAST_FALL:
            return usual
        return max(mean_h + (REFILL_PERCENT - mean) / slope - hours[-1], 0.0)
