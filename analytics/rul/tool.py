"""Life of the tool in the spindle: its wear as measured so far, and what tools like it have lasted.

    wear %                              .  criterion 100 %
       |                          . '
       |            x  . '                    x  measured by the tool setter, now and then
       |     x '                              rate = (PRIOR + wear seen) / (PRIOR's time + time it took)
       '------------------------------ time in cut, min

The rate is a gamma estimate: before a tool has worn, that of Taylor's law (`cnctwin.predictors.tool_rul`) or, as soon as an edge of
the same tool number has come to its end, the life of those edges. Within a life the newer half counts twice, because wear speeds up
towards the end (third phase of the wear curve) and a fault changes the rate. Between two measurements wear goes on at this rate.

When it will be: at the share of time that this very tool was in cut of late, in means that fade within an hour, which is about
what the included programs take in turn. Not known before two minutes were watched, and the tool has cut in what was watched.

Interval: lives scatter lognormally (CV .2 to .35 for a known process, handbook); with nothing seen the spread is that of an unknown
process, and every measured per cent narrows it. 90 % = 1.645 sigma.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final

from analytics.detectors.detector import Needs
from analytics.rul.model import Estimate
from cnctwin.predictors import MAX_MINUTES, PRIOR_WEAR_PERCENT, taylor_life, tool_rul
from cnctwin.reading import Value, utc

READ: Final = ("Tool/Number", "Tool/CuttingTime", "Tool/WearPercent")
LIFE_SIGMA: Final = 0.30
UNKNOWN_SIGMA: Final = 0.70
Q90: Final = 1.645
MAX_POINTS: Final = 64
MAX_LIVES: Final = 20
ENDED_FROM: Final = 50.0
"""Wear of a replaced edge from which its rate is worth keeping as a life."""
USE_TAU_MIN: Final = 60.0
WATCHED_MIN: Final = 2.0
"""Minutes that have to be watched before a share of them says anything."""
LEAST_SHARE: Final = 1e-4
"""Of the time in cut: with less a tool is not in use."""


class Edge:
    """One edge: (time in cut min, wear %) where the wear was measured anew."""

    def __init__(self, points: list[tuple[float, float]] | None = None) -> None:
        self.points = points or []

    def see(self, minutes: float, wear: float) -> None:
        if not self.points or wear != self.points[-1][1]:
            self.points.append((minutes, wear))
            if len(self.points) > MAX_POINTS:
                # The first and every other: the curve keeps its shape.
                self.points = [self.points[0], *self.points[2::2]]

    def rate(self, prior_rate: float) -> float:
        """Wear per minute in cut, %; ``prior_rate`` is believed as much as PRIOR_WEAR_PERCENT of wear."""
        weight = PRIOR_WEAR_PERCENT / prior_rate
        worn, took = PRIOR_WEAR_PERCENT, weight
        if len(self.points) >= 2:
            (t0, w0), (t1, w1) = self.points[0], self.points[-1]
            tm, wm = self.points[len(self.points) // 2]
            worn += max(w1 - w0, 0.0) + max(w1 - wm, 0.0)
            took += max(t1 - t0, 0.0) + max(t1 - tm, 0.0)
        return min(max(worn / took, prior_rate / 20.0), prior_rate * 20.0)

    @property
    def seen(self) -> float:
        """Wear that was watched, %."""
        return max(self.points[-1][1] - self.points[0][1], 0.0) if self.points else 0.0


class ToolModel:
    """Edges and lives by tool number."""

    needs: Needs = tuple((name,) for name in READ)

    def __init__(self) -> None:
        self._edges: dict[int, Edge] = {}
        self._lives: dict[int, list[float]] = {}
        self._speed: dict[int, float] = {}
        self._now: tuple[int, int, float, float] | None = None
        """time ns, tool, time in cut min, wear %."""
        self._in_cut: dict[int, float] = {}
        self._watched = 0.0
        """Minutes in cut by tool, and minutes watched, by the data's own clock (a simulation may run faster); both fade."""

    def update(self, time_ns: int, numbers: Mapping[str, float], *, fresh: bool, row_s: float = 0.5) -> None:
        tool, minutes, wear = (numbers.get(name) for name in READ)
        if not tool or minutes is None or wear is None or minutes < 0.0 or wear < 0.0:
            self._now = None
            return
        number = int(tool)
        speed = numbers.get("Tool/CuttingSpeed", 0.0)
        if numbers.get("Tool/InCut") and speed > 0.0:
            known = self._speed.setdefault(number, speed)
            self._speed[number] = known + 0.01 * (speed - known)
        edge = self._edges.setdefault(number, Edge())
        if edge.points and (minutes < edge.points[-1][0] - 1e-6 or wear < edge.points[-1][1] - 20.0):
            self._ended(number, edge)
            edge = self._edges[number] = Edge()
        edge.see(minutes, wear)
        if self._now is not None and not fresh:
            before_ns, before_tool, before_minutes, _ = self._now
            took_ns = time_ns - before_ns
            if took_ns > 0:
                took = took_ns / 60e9
                kept = math.exp(-took / USE_TAU_MIN)
                self._watched = self._watched * kept + took
                self._in_cut = {tool: minutes * kept for tool, minutes in self._in_cut.items()}
                if before_tool == number:
                    self._in_cut[number] = self._in_cut.get(number, 0.0) + max(minutes - before_minutes, 0.0)
        self._now = (time_ns, number, minutes, wear)

    def _ended(self, number: int, edge: Edge) -> None:
        if edge.seen >= ENDED_FROM:
            took = edge.points[-1][0] - edge.points[0][0]
            if took > 0.0:
                lives = self._lives.setdefault(number, [])
                lives.append(took / edge.seen * 100.0)
                del lives[:-MAX_LIVES]

    def estimate(self) -> Estimate:
        if self._now is None:
            return Estimate(dict.fromkeys(SIGNALS))
        time_ns, number, minutes, wear = self._now
        remaining, sigma = self._remaining(number, minutes, wear)
        low = min(remaining * math.exp(-Q90 * sigma), MAX_MINUTES)
        high = min(remaining * math.exp(Q90 * sigma), MAX_MINUTES)
        change: Value | None = None
        share = self._share(number)
        if remaining <= 0.0:
            change = utc(time_ns)
        elif share is not None:
            change = utc(time_ns + int(min(remaining / share, 10 * 525_600.0) * 60e9))
        confidence = 1.0 - sigma / (2.0 * UNKNOWN_SIGMA)
        return Estimate(
            {
                "Analytics/ToolRul": remaining,
                "Analytics/ToolRulLow": low,
                "Analytics/ToolRulHigh": high,
                "Analytics/NextToolChange": change,
            },
            {
                "tool_minutes": remaining,
                "tool_confidence": confidence,
                "tool_number": number,
                # The planner's hours are those of the data's clock; a share above 1 is a simulation that runs faster.
                "cutting_share": share,
            },
        )

    def _share(self, number: int) -> float | None:
        """Minutes in cut of a tool per minute of late; None where that is not known, or nothing worth a plan."""
        if self._watched < WATCHED_MIN:
            return None
        share = self._in_cut.get(number, 0.0) / self._watched
        return share if share > LEAST_SHARE else None

    def _remaining(self, number: int, minutes: float, wear: float) -> tuple[float, float]:
        edge, lives = self._edges[number], self._lives.get(number, [])
        speed = self._speed.get(number)
        if lives:
            logs = [math.log(life) for life in lives]
            mean = sum(logs) / len(logs)
            prior_life = math.exp(mean)
            spread = math.sqrt(sum((x - mean) ** 2 for x in logs) / len(logs))
            unknown = max(spread, LIFE_SIGMA) * math.sqrt(1.0 + 1.0 / len(lives))
        elif speed is None:
            # Not in cut yet: nothing but Taylor's law at a usual speed, and honest about it.
            prior_life, unknown = taylor_life(200.0), 1.2 * UNKNOWN_SIGMA
        else:
            prior_life, unknown = taylor_life(speed), UNKNOWN_SIGMA
        if not lives and edge.seen <= 0.0:
            # The tool came with its wear: one point, of which the request's formula makes the most.
            remaining, _ = tool_rul(wear, minutes, speed or 200.0)
        else:
            since = max(minutes - edge.points[-1][0], 0.0)
            rate = edge.rate(100.0 / prior_life)
            remaining = min(max((100.0 - wear) / rate - since, 0.0), MAX_MINUTES)
        share = edge.seen / (edge.seen + PRIOR_WEAR_PERCENT)
        floor = LIFE_SIGMA / math.sqrt(1.0 + edge.seen / 20.0)
        return remaining, unknown + (floor - unknown) * share

    def state(self) -> dict[str, Any]:
        return {
            "edges": {str(number): [list(point) for point in edge.points] for number, edge in self._edges.items()},
            "lives": {str(number): list(lives) for number, lives in self._lives.items()},
            "speed": {str(number): speed for number, speed in self._speed.items()},
            "in_cut": {str(number): minutes for number, minutes in self._in_cut.items()},
            "watched": self._watched,
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        edges = {int(n): Edge([(float(t), float(w)) for t, w in points]) for n, points in state["edges"].items()}
        lives = {int(n): [float(life) for life in found] for n, found in state["lives"].items()}
        speed = {int(n): float(v) for n, v in state["speed"].items()}
        # Not in a state of an earlier version, which knew one share for all tools.
        in_cut = {int(n): float(minutes) for n, minutes in state.get("in_cut", {}).items()}
        watched = float(state.get("watched", 0.0))
        self._edges, self._lives, self._speed, self._in_cut, self._watched = edges, lives, speed, in_cut, watched


SIGNALS: Final = ("Analytics/ToolRul", "Analytics/ToolRulLow", "Analytics/ToolRulHigh", "Analytics/NextToolChange")
