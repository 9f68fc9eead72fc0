"""What is normal now: a baseline of each feature for each thing the machine can be doing (process x motion state).

    situation  (program, tool, in cut, turning, coolant, machine state)        the finest
    |-- tool and motion          (tool, in cut, turning, coolant, state)       used until the finest has been seen often
    `-- motion                   (in cut, turning, coolant, state)             enough, in this order

    residual = (feature - median) / spread  -  what this run has been off since it began (own-run baseline, within 1.5)

Measured on real mills (UMich CNC): one baseline for everything alarms all the time, a baseline of each process state without the
run's own offset still alarms on every new clamping; both together do not. Median and spread are robust, so that a few odd rows
while learning do not widen what is normal. A situation is learned from its first rows, then frozen; after that it moves only
slowly, and only while nothing is anomalous: a fault must not become the new normal.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from analytics.features import FLOORS, OF_AN_EDGE
from analytics.frames import Mask, Row

LEARN: Final = 240
"""Rows that are kept of a situation to make its baseline."""
DENSE: Final = 120
THIN: Final = 4
"""All of the first DENSE rows are kept, then every THIN-th: together five minutes at 2 Hz, as neighbours say much the same."""
YOUNG: Final = 20.0
"""A spread of n rows is taken (1 + YOUNG / n) times as wide: what a few minutes have shown is not all there is. Of a feature those
rows count in which it could be told, as its axis moved."""
COARSE: Final = 3.0
"""Residuals against a coarser baseline weigh a third: another program differs without being wrong."""
TRUST: Final = 40
"""Rows after which the finest baseline is used."""
ADAPT: Final = 1.0 / 4000.0
"""Share of the way a frozen median moves towards a row: a time constant of half an hour at 2 Hz."""
OWN_RUN: Final = 1.0 / 1200.0
OWN_RUN_LIMIT: Final = 1.5
CLIP: Final = 12.0
MAX_SITUATIONS: Final = 300


@dataclass(frozen=True, slots=True)
class Situation:
    """What the machine does, as text parts; equal parts mean that features may be compared."""

    program: str
    tool: int
    motion: str

    @property
    def levels(self) -> tuple[str, str, str]:
        """Keys from the finest to the coarsest."""
        return f"{self.program}|T{self.tool}|{self.motion}", f"T{self.tool}|{self.motion}", self.motion


@dataclass(slots=True)
class Baseline:
    """One situation. While it learns: its rows (n, n_features), NaN where invalid; then median and spread, (n_features,)."""

    rows: list[npt.NDArray[np.float32]]
    median: Row | None = None
    spread: Row | None = None
    count: int = 0

    def learn(self, values: Row) -> None:
        self.count += 1
        if self.median is None or self.spread is None:
            if self.count > DENSE and self.count % THIN:
                return
            self.rows.append(values.astype(np.float32))
            if len(self.rows) == LEARN:
                self.freeze()
            return
        distance = np.clip((values - self.median) / self.spread, -3.0, 3.0)
        known = ~np.isnan(distance)
        self.median[known] += ADAPT * distance[known] * self.spread[known]
        # Unseen so far (a signal that was Bad while learning): its first value is a median, and the spread is wide.
        new = np.isnan(self.median) & ~np.isnan(values)
        self.median[new] = values[new]
        self.spread[new] = 8.0 * FLOORS[new]

    def freeze(self) -> None:
        self.median, self.spread = robust(np.array(self.rows, dtype=np.float64))
        self.rows = []

    def now(self) -> tuple[Row, Row]:
        """Median and spread at present, also while learning."""
        if self.median is not None and self.spread is not None:
            return self.median, self.spread
        return robust(np.array(self.rows, dtype=np.float64))


def robust(rows: Row) -> tuple[Row, Row]:
    """Median and spread of each column of (n, n_features), NaN left out; NaN for a column without any number.

    The spread is the largest of 1.4826 MAD, the width from 5 to 95 % as of a normal law, and the feature's floor: a situation
    often holds two regimes (roughing and finishing), whose distance the MAD alone may not see.
    """
    median = np.full(rows.shape[1], np.nan)
    spread = FLOORS.copy()
    known = ~np.isnan(rows).all(axis=0)
    if known.any():
        some = rows[:, known]
        low, middle, high = np.nanquantile(some, (0.05, 0.5, 0.95), axis=0)
        mad = np.nanmedian(np.abs(some - middle), axis=0)
        median[known] = middle
        seen = (~np.isnan(some)).sum(axis=0)
        width = np.maximum(1.4826 * mad, (high - low) / 3.29) * (1.0 + YOUNG / seen)
        spread[known] = np.maximum(width, FLOORS[known])
    return median, spread


@dataclass(frozen=True, slots=True)
class Judged:
    """Residuals (n_features,), 0 where invalid; ``known`` is False while only a coarse baseline stands behind them."""

    residuals: Row
    valid: Mask
    known: bool


class Expectations:
    """Baselines of one machine."""

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features
        self._baselines: OrderedDict[str, Baseline] = OrderedDict()
        self._own: Row = np.zeros(n_features)
        self._cache: dict[str, tuple[int, tuple[Row, Row]]] = {}

    def begin_run(self) -> None:
        """A new program or tool: its own offset is not known yet."""
        self._own.fill(0.0)

    def judge(self, situation: Situation, values: Row, valid: Mask) -> Judged | None:
        """Residuals of a row; None when nothing like it has been seen often enough."""
        for level, key in enumerate(situation.levels):
            baseline = self._baselines.get(key)
            if baseline is None or baseline.count < TRUST:
                continue
            median, spread = self._of(key, baseline)
            residuals = (values - median) / spread
            judged = valid & ~np.isnan(residuals)
            if level == len(situation.levels) - 1:
                judged[list(OF_AN_EDGE)] = False  # other tools say nothing about this one
            residuals = np.where(judged, np.clip(residuals, -CLIP, CLIP) - self._own, 0.0)
            if level > 0:
                residuals /= COARSE
            return Judged(residuals, judged, known=level == 0)
        return None

    def learn(self, situation: Situation, values: Row, valid: Mask, judged: Judged | None) -> None:
        """Take a row for normal: it moves its situation's baselines and the run's own offset."""
        row = np.where(valid, values, np.nan)
        for key in situation.levels:
            baseline = self._baselines.get(key)
            if baseline is None:
                baseline = self._baselines[key] = Baseline([])
                if len(self._baselines) > MAX_SITUATIONS:
                    gone, _ = self._baselines.popitem(last=False)
                    self._cache.pop(gone, None)
            self._baselines.move_to_end(key)
            baseline.learn(row)
        if judged is not None and judged.known:
            self._own += np.where(judged.valid, OWN_RUN * np.clip(judged.residuals, -3.0, 3.0), 0.0)
            np.clip(self._own, -OWN_RUN_LIMIT, OWN_RUN_LIMIT, out=self._own)

    def forget(self, tool: int, features: Sequence[int]) -> None:
        """What these features were like with a tool is no longer so: it has a new edge. They are learned anew, the rest stays."""
        for key, baseline in self._baselines.items():
            if f"T{tool}" not in key.rsplit("|", 2)[-2:-1]:
                continue
            self._cache.pop(key, None)
            for row in baseline.rows:
                row[list(features)] = np.nan
            if baseline.median is not None:
                baseline.median[list(features)] = np.nan

    def _of(self, key: str, baseline: Baseline) -> tuple[Row, Row]:
        """A learning baseline is worked out anew every 20 rows only: quantiles cost more than all the rest."""
        if baseline.median is not None:
            return baseline.now()
        cached = self._cache.get(key)
        if cached is None or baseline.count - cached[0] >= 20:
            cached = self._cache[key] = (baseline.count, baseline.now())
        return cached[1]

    def state(self) -> dict[str, Any]:
        """Everything learned; baselines that are still learning are kept with their rows."""
        return {
            "own": self._own.copy(),
            "baselines": [
                {
                    "key": key,
                    "count": baseline.count,
                    "rows": np.array(baseline.rows, dtype=np.float32).reshape(-1, self.n_features),
                    "median": baseline.median,
                    "spread": baseline.spread,
                }
                for key, baseline in self._baselines.items()
            ],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError when the state is not of this version."""
        own = np.asarray(state["own"], dtype=np.float64)
        if own.shape != (self.n_features,):
            raise ValueError("other features")
        self._own = own.copy()
        self._baselines.clear()
        self._cache.clear()
        for item in state["baselines"]:
            rows = np.asarray(item["rows"], dtype=np.float32).reshape(-1, self.n_features)
            median = None if item["median"] is None else np.array(item["median"], dtype=np.float64)
            spread = None if item["spread"] is None else np.array(item["spread"], dtype=np.float64)
            self._baselines[str(item["key"])] = Baseline(list(rows), median, spread, int(item["count"]))
