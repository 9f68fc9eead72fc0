"""Cost over load as a drawing: server CPU per second over sessions, and over items of one session, on logarithmic scales.

It is what all notifications of 10 Hz take, at the cost of those that were sent: beyond 1,000 ms a server cannot keep up.
A straight line at 45 degrees is cost in proportion to load; a flatter one has a part that does not grow.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Final

from benchmarks.opcua.report import Results
from benchmarks.opcua.scenarios import RATE_HZ

COLOURS: Final = {"cnctwin": "#0b6e4f", "asyncua": "#c8553d", "node-opcua": "#5c6b9c"}
_WIDTH, _HEIGHT, _LEFT, _TOP, _SIDE = 760, 330, 60, 40, 270
_SESSIONS: Final = re.compile(r"([\d,]+) sessions? x 60 items$")
_ITEMS: Final = re.compile(r"(?:1 session x )?([\d,]+) (?:items|variables, 1 session)$")


def chart(results: Results) -> str:
    """SVG of both panels."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" font-family="sans-serif" font-size="11">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        *_panel(results, _SESSIONS, 60, _LEFT, "sessions of 60 items at 10 Hz", (1, 1_000)),
        *_panel(results, _ITEMS, 1, _LEFT + _SIDE + 90, "items of one session at 10 Hz", (1, 10_000)),
    ]
    for place, kind in enumerate(results.kinds):
        x = _LEFT + 110 * place
        parts.append(f'<rect x="{x}" y="12" width="10" height="10" fill="{COLOURS[kind]}"/><text x="{x + 15}" y="21">{kind}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _panel(results: Results, names: re.Pattern[str], per: int, left: int, title: str, x_range: tuple[int, int]) -> list[str]:
    curves: dict[str, list[tuple[float, float]]] = {}
    for name in results.names:
        match = names.match(name)
        for kind in results.kinds if match else ():
            cost_us = results.median(name, kind, "cpu_us")
            if match and cost_us:
                load = float(match[1].replace(",", ""))
                curves.setdefault(kind, []).append((load, cost_us * load * per * RATE_HZ / 1_000))
    cores = [y for points in curves.values() for _, y in points] or [1.0]
    low, high = 10 ** math.floor(math.log10(min(cores))), 10 ** math.ceil(math.log10(max(cores)))
    x_of, y_of = _scale(*x_range, left, left + _SIDE), _scale(low, max(high, low * 10), _TOP + _SIDE - 20, _TOP)
    parts = [f'<text x="{left + _SIDE / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{title}</text>']
    for value in _decades(*x_range):
        x = x_of(value)
        parts.append(f'<path d="M{x:.0f} {_TOP}V{y_of(low):.0f}" stroke="#ddd"/>')
        parts.append(f'<text x="{x:.0f}" y="{y_of(low) + 14:.0f}" text-anchor="middle">{value:,}</text>')
    for value in _decades(low, high):
        y = y_of(value)
        parts.append(f'<path d="M{left} {y:.0f}H{left + _SIDE}" stroke="#ddd"/>')
        parts.append(f'<text x="{left - 5}" y="{y + 4:.0f}" text-anchor="end">{value:,g}</text>')
    parts.append(f'<text x="{left - 45}" y="{_TOP - 6}">ms of server CPU per s</text>')
    for kind, points in curves.items():
        points.sort()
        line = " ".join(f"{x_of(x):.1f},{y_of(y):.1f}" for x, y in points)
        parts.append(f'<polyline points="{line}" fill="none" stroke="{COLOURS[kind]}" stroke-width="2"/>')
        parts += [f'<circle cx="{x_of(x):.1f}" cy="{y_of(y):.1f}" r="3" fill="{COLOURS[kind]}"/>' for x, y in points]
    return parts


def _scale(low: float, high: float, start: float, end: float) -> Callable[[float], float]:
    def place(value: float) -> float:
        return start + (end - start) * math.log10(value / low) / math.log10(high / low)

    return place


def _decades(low: float, high: float) -> list[float]:
    return [10**power for power in range(round(math.log10(low)), round(math.log10(high)) + 1)]
