"""How long a program takes on a machine, from the same plan that moves the axes, without sampling it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from math import ceil, cos, inf, pi, sin, sqrt
from typing import Literal

from opcua_server.machine.motion.profile import Phase, plan
from opcua_server.machine.motion.segment import Rules, Segment
from opcua_server.machine.motion.window import Window
from opcua_server.machine.moves import Move, NcAlarm, Point
from opcua_server.machine.parameters import AXES, SAMPLE_S, MachineParameters
from opcua_server.machine.sums import added

Limit = Literal["acceleration", "arc", "axis_velocity", "block_time", "corner"]
"""Why a block did not reach its programmed feed (rapids: their speed).

``corner``: the corner at one of its ends slowed it down; ``acceleration``: too short to speed up and brake.
"""

_REACHED = 0.999


@dataclass(slots=True)
class ToolTime:
    """What one tool does between its tool changes, all of them together."""

    tool: int
    motion_s: float = 0.0
    cutting_s: float = 0.0
    """Part of ``motion_s`` at feed."""
    dwell_s: float = 0.0
    blocks: int = 0


@dataclass(slots=True)
class Estimate:
    """Cycle time of a program: motion alone, and what stands between it. Tool changes and stops of the spindle at an angle are
    counted, their time is not in it."""

    machine: str
    motion_s: float = 0.0
    dwell_s: float = 0.0
    rapid_s: float = 0.0
    """Part of ``motion_s`` at rapid."""
    toolchanges: int = 0
    orientations: int = 0
    """How often the spindle stops at an angle: M19, and within G76 and G87; not what a tool change needs."""
    blocks: int = 0
    """Moves that go somewhere."""
    tools: dict[int, ToolTime] = field(default_factory=dict)
    """By tool number; 0 is what was in the spindle at the start."""
    travel_mm: dict[str, float] = field(default_factory=lambda: dict.fromkeys(AXES, 0.0))
    """How far each axis moves, back and forth added up."""
    extent_mm: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Least and greatest programmed position of each axis, machine coordinates."""
    beyond_travel: list[str] = field(default_factory=list)
    """Axes whose extent is longer than their travel: the program fits this machine at no work offset."""
    path_mm: dict[str, float] = field(default_factory=lambda: {"rapid": 0.0, "cutting": 0.0})
    limits: Counter[Limit] = field(default_factory=Counter)
    """Blocks by the limit that kept them below their speed."""
    alarm: NcAlarm | None = None
    """Where the program stopped; times are up to there."""


def estimate(
    moves: Iterable[Move],
    machine: MachineParameters,
    start_mm: Point = (0.0, 0.0, 0.0),
    *,
    exact_stop: bool = False,
) -> Estimate:
    """Cycle time of ``moves`` from ``start_mm`` (machine coordinates) at overrides of 100 %.

    ``exact_stop``: stand at the end of every block, as under G61. An ``NcAlarm`` of the moves ends the estimate and is kept.
    """
    result = Estimate(machine.name)
    tool = result.tools.setdefault(0, ToolTime(0))
    rules = Rules(machine, SAMPLE_S)
    settle_s = (rules.filter_samples - 1) * SAMPLE_S + machine.path.exact_stop_s
    window = Window(rules, machine.path.lookahead_blocks, exact_stop=exact_stop)
    window.load(moves, start_mm)
    speed, stands_at = 0.0, None
    while True:
        window.fill()
        if not window:
            break
        head = window.head
        if not isinstance(head, Segment):
            window.pop()
            if head.kind == "dwell":
                result.dwell_s += head.dwell_s
                tool.dwell_s += head.dwell_s
            elif head.kind == "toolchange":
                result.toolchanges += 1
                tool = result.tools.setdefault(head.tool, ToolTime(head.tool))
            angle = head.modal.spindle_angle_deg
            result.orientations += angle is not None and angle != stands_at
            stands_at = angle
            continue
        group, chained = window.group()
        phases = plan(group, [one.soft for one in group], 0.0, speed)
        if chained:
            group = group[: len(group) // 2]
        times, speeds, speed = _by_segment(phases, len(group))
        for one, seconds, peak in zip(group, times, speeds, strict=True):
            _add(result, tool, one, seconds)
            limit = _limit(one, peak, rules)
            if limit is not None:
                result.limits[limit] += 1
            window.pop()
        if not chained:
            speed = 0.0
            stand_s = settle_s + (SAMPLE_S if group[-1].refills else 0.0)
            result.motion_s += stand_s
            tool.motion_s += stand_s
    result.alarm = window.alarm
    for axis, reach in zip(AXES, machine.limits, strict=True):
        low, high = result.extent_mm.get(axis, (0.0, 0.0))
        if high - low > reach.travel_mm[1] - reach.travel_mm[0] + 1e-6:
            result.beyond_travel.append(axis)
    if not result.tools[0].blocks and not result.tools[0].dwell_s and len(result.tools) > 1:
        del result.tools[0]
    return result


def _by_segment(phases: list[Phase], count: int) -> tuple[list[float], list[float], float]:
    """(seconds, greatest speed) of the first ``count`` segments, and the speed at the end of them."""
    times, peaks, last = [0.0] * count, [0.0] * count, 0.0
    for index, _, v, a, duration in phases:
        if index >= count:
            break
        last = max(0.0, v + a * duration)
        times[index] += duration
        peaks[index] = max(peaks[index], v, last)
    return times, peaks, last


def _add(result: Estimate, tool: ToolTime, one: Segment, seconds: float) -> None:
    result.motion_s += seconds
    result.blocks += 1
    tool.motion_s += seconds
    tool.blocks += 1
    if one.rapid:
        result.rapid_s += seconds
    else:
        tool.cutting_s += seconds
    result.path_mm["rapid" if one.rapid else "cutting"] += one.length
    for axis, way, begin, end in zip(AXES, _travel(one), one.start, one.end, strict=True):
        result.travel_mm[axis] += way
        low, high = result.extent_mm.get(axis, (begin, begin))
        result.extent_mm[axis] = (min(low, end), max(high, end))


def _travel(one: Segment) -> Point:
    """Way of each axis along a segment, mm."""
    if one.curve is None:
        (x0, y0, z0), (x1, y1, z1) = one.start, one.end
        return abs(x1 - x0), abs(y1 - y0), abs(z1 - z0)
    _, e1, e2, n, r0, dr, theta, h = one.curve
    steps = max(8, ceil(abs(theta) / (2.0 * pi) * 128))
    fractions = [k / steps for k in range(steps + 1)]
    ways = []
    for axis in range(3):
        at = [(r0 + dr * f) * (e1[axis] * cos(theta * f) + e2[axis] * sin(theta * f)) + n[axis] * h * f for f in fractions]
        ways.append(added(abs(q - p) for p, q in pairwise(at)))
    return ways[0], ways[1], ways[2]


def _limit(one: Segment, peak: float, rules: Rules) -> Limit | None:
    if one.rapid:
        top = sqrt(one.top2)
        return None if peak >= _REACHED * top else "acceleration"
    if peak >= _REACHED * one.soft:
        return None
    if peak >= _REACHED * sqrt(one.top2):
        if one.top2 >= (_REACHED * one.length / rules.block_time) ** 2:
            return "block_time"
        axis = min(v / s if s > 0.0 else inf for v, s in zip(rules.velocity, one.share, strict=True))
        return "axis_velocity" if one.top2 >= (_REACHED * axis) ** 2 else "arc"
    corner2 = max(one.zone_in[1] if one.zone_in[0] else 0.0, one.zone_out[1] if one.zone_out[0] else 0.0)
    return "corner" if peak * peak >= _REACHED * corner2 > 0.0 and one.zone_in[0] + one.zone_out[0] > 0.0 else "acceleration"


def as_json(result: Estimate) -> dict[str, object]:
    """The estimate as plain data for JSON; times in s, lengths in mm, rounded to 0.1 ms and 0.1 um."""

    def tidy(value: float) -> float:
        return round(value, 4)

    entry: dict[str, object] = {
        "machine": result.machine,
        "motion_s": tidy(result.motion_s),
        "dwell_s": tidy(result.dwell_s),
        "rapid_s": tidy(result.rapid_s),
        "toolchanges": result.toolchanges,
        "orientations": result.orientations,
        "blocks": result.blocks,
        "tools": [
            {
                "tool": tool.tool,
                "motion_s": tidy(tool.motion_s),
                "cutting_s": tidy(tool.cutting_s),
                "dwell_s": tidy(tool.dwell_s),
                "blocks": tool.blocks,
            }
            for tool in result.tools.values()
        ],
        "travel_mm": {axis: tidy(way) for axis, way in result.travel_mm.items()},
        "extent_mm": {axis: [tidy(low), tidy(high)] for axis, (low, high) in result.extent_mm.items()},
        "beyond_travel": result.beyond_travel,
        "path_mm": {kind: tidy(way) for kind, way in result.path_mm.items()},
        "limits": {limit: result.limits[limit] for limit in sorted(result.limits)},
    }
    if result.alarm is not None:
        alarm = result.alarm
        entry["alarm"] = {"alarm": alarm.number, "text": alarm.text, "line": alarm.line, "o": alarm.program}
    return entry


def as_lines(result: Estimate) -> Iterator[str]:
    """The estimate to read."""
    yield f"machine     {result.machine}"
    yield f"motion      {_clock(result.motion_s)}  ({result.motion_s:.3f} s, of that at rapid {result.rapid_s:.3f} s)"
    yield f"dwell       {_clock(result.dwell_s)}  ({result.dwell_s:.3f} s)"
    oriented = f", stops of the spindle at an angle {result.orientations}" if result.orientations else ""
    yield f"blocks      {result.blocks}, tool changes {result.toolchanges}{oriented}"
    for tool in result.tools.values():
        yield f"  tool {tool.tool:<5} {tool.motion_s:10.3f} s, cutting {tool.cutting_s:10.3f} s, {tool.blocks} blocks"
    for axis in AXES:
        low, high = result.extent_mm.get(axis, (0.0, 0.0))
        note = ", longer than the axis" if axis in result.beyond_travel else ""
        yield f"axis {axis}      travels {result.travel_mm[axis]:12.3f} mm, between {low:.3f} and {high:.3f}{note}"
    yield f"path        rapid {result.path_mm['rapid']:.3f} mm, cutting {result.path_mm['cutting']:.3f} mm"
    for limit, count in result.limits.most_common():
        yield f"held below its speed by {limit.replace('_', ' ')}: {count} block{'s' if count > 1 else ''}"


def _clock(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{rest:02d}"
