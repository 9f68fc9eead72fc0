"""The report as a page: every figure within its range, and what it was taken from. One file, nothing from elsewhere."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

import numpy as np

from opcua_server.realism.figures import Figure, Plot

COLOURS: Final = ("#0b6e4f", "#c8553d", "#5c6b9c")
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 300, 62, 14, 34, 44
_BAR: Final = 300
_STYLE: Final = """body{font:14px sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222;background:#fff}
table{border-collapse:collapse;width:100%}td,th{text-align:left;padding:.2em .6em;border-bottom:1px solid #ddd}
td.number{text-align:right;font-variant-numeric:tabular-nums}.outside{color:#b00020;font-weight:bold}
figure{display:inline-block;margin:1em 1em 0 0}svg text{font:11px sans-serif;fill:#333}"""


def page(figures: Sequence[Figure], seed: int) -> str:
    """HTML of the report."""
    rows = "\n".join(_row(figure) for figure in figures)
    drawn = "\n".join(f"<figure>{_drawing(figure.plot)}</figure>" for figure in figures if figure.plot is not None)
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>The simulated mill beside a real one</title><style>{_STYLE}</style></head>
<body><h1>The simulated mill beside a real one</h1>
<p>Statistics of the machine's telemetry at 10 Hz (seed {seed}); ranges as found in the UMich CNC mill data.</p>
<table><tr><th>Figure</th><th>Value</th><th>Range</th><th></th></tr>
{rows}
</table>
{drawn}
</body></html>
"""


def _row(figure: Figure) -> str:
    """The range as a bar in the middle, the value as a mark on it."""
    span = figure.high - figure.low
    x = _BAR / 2.0 + (figure.value - 0.5 * (figure.low + figure.high)) / span * _BAR / 2.0
    colour = COLOURS[0] if figure.inside else COLOURS[1]
    bar = (
        f'<svg width="{_BAR}" height="14" role="img" aria-label="{"inside" if figure.inside else "outside"}">'
        f'<rect x="{_BAR / 4:g}" y="4" width="{_BAR / 2:g}" height="6" fill="#cfe3dc"/>'
        f'<circle cx="{min(max(x, 5.0), _BAR - 5.0):.1f}" cy="7" r="5" fill="{colour}"/></svg>'
    )
    mark = "" if figure.inside else ' class="outside"'
    return (
        f"<tr{mark}><td>{escape(figure.name)}</td><td class='number'>{figure.value:.4f}</td>"
        f"<td class='number'>{figure.low:g} to {figure.high:g}</td><td>{bar}</td></tr>"
    )


def _drawing(plot: Plot) -> str:
    x_low, x_high = _range(x for x, _ in plot.series.values())
    y_low, y_high = _range(y for _, y in plot.series.values())

    def at(x: float, y: float) -> str:
        across = _LEFT + (x - x_low) / (x_high - x_low) * (_WIDTH - _LEFT - _RIGHT)
        return f"{across:.1f},{_HEIGHT - _BOTTOM - (y - y_low) / (y_high - y_low) * (_HEIGHT - _TOP - _BOTTOM):.1f}"

    size = f'width="{_WIDTH}" height="{_HEIGHT}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(plot.title)}">',
        f'<text x="{_LEFT}" y="14" font-weight="bold">{escape(plot.title)}</text>',
        f'<text x="{_WIDTH - _RIGHT}" y="{_HEIGHT - 8}" text-anchor="end">{escape(plot.x_label)}</text>',
        f'<text x="{_LEFT}" y="28">{escape(plot.y_label)}</text>',
    ]
    for tick in _ticks(x_low, x_high):
        x, _, y = at(tick, y_low).partition(",")
        parts.append(f'<path d="M{x} {_TOP}V{y}" stroke="#eee"/>')
        parts.append(f'<text x="{x}" y="{float(y) + 15:.0f}" text-anchor="middle">{tick:g}</text>')
    for tick in _ticks(y_low, y_high):
        x, _, y = at(x_low, tick).partition(",")
        parts.append(f'<path d="M{x} {y}H{_WIDTH - _RIGHT}" stroke="#eee"/>')
        parts.append(f'<text x="{float(x) - 5:.0f}" y="{float(y) + 4:.0f}" text-anchor="end">{tick:g}</text>')
    for place, (name, (xs, ys)) in enumerate(plot.series.items()):
        colour = COLOURS[place % len(COLOURS)]
        points = [at(x, y) for x, y in zip(xs.tolist(), ys.tolist(), strict=True)]
        if name in plot.lines:
            parts.append(f'<polyline points="{" ".join(points)}" fill="none" stroke="{colour}"/>')
        else:
            marks = (point.split(",") for point in points)
            parts += [f'<circle cx="{x}" cy="{y}" r="2" fill="{colour}" fill-opacity="0.5"/>' for x, y in marks]
        parts.append(
            f'<text x="{_WIDTH - _RIGHT}" y="{14 + 14 * place}" text-anchor="end" style="fill:{colour}">{escape(name)}</text>'
        )
    return "\n".join([*parts, "</svg>"])


def _range(columns: Iterable[np.ndarray]) -> tuple[float, float]:  # type: ignore[type-arg]
    """Of all values, with some room."""
    values = np.concatenate(list(columns))
    low, high = float(values.min()), float(values.max())
    room = 0.05 * (high - low) or 1.0
    return low - room, high + room


def _ticks(low: float, high: float) -> list[float]:
    """Round numbers, about five of them."""
    rough = (high - low) / 5.0
    power = 10.0 ** math.floor(math.log10(rough))
    step = min((factor * power for factor in (1.0, 2.0, 5.0, 10.0)), key=lambda value: abs(value - rough))
    return [k * step for k in range(math.ceil(low / step), math.floor(high / step) + 1)]
