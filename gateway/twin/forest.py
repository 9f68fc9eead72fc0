"""An Isolation Forest for each machine's telemetry documents: learned from those that were stored or sent in, none before that.

    documents --those that break no limit--> rows --FIRST rows--> [grow, in a thread] --> judge
                                               '--twice as many, then every MOST---> [grow again]

    row -> off (what is usual, in spreads) -> axes along which healthy rows vary independently -> forest

A document is judged by itself, against what this machine's documents were like. On raw columns a forest calls rare what is only
seldom (a standing spindle) and sees no broken relation (much vibration for little load); measured on the simulated mill it then
flagged 1 to 7 % of healthy documents. So trees draw as many rows from a seldom state of the machine as from a frequent one, and
look along the principal axes. What grows slowly no single document shows: that is found by the analytics, on live data. Pure;
whoever runs it finds a thread for the growing.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cnctwin.isolation_forest import FlatForest, Row, Rows, grow, restored
from cnctwin.predictors import Z_FIELDS, Anomaly, field_of, limit_rules

FIELDS: Final = ("spindle.rpm", *Z_FIELDS)
"""Numbers of a document that a forest looks at. Wear and positions are left out: they go where they have never been."""
FIRST: Final = 240
"""Documents before there is a forest: four minutes of a machine that is watched live."""
MOST: Final = 2000
"""Rows kept; when there are more every other one goes, so that the first hour stays beside the last."""
BLOCK: Final = 20
MARGIN: Final = 0.25
"""The threshold lies beyond the 99 % quantile of held-out scores by this share of its distance from their median,"""
YOUNG: Final = 240.0
"""times (1 + YOUNG / n): a quantile of few rows lies too low."""
LEAST: Final = 0.03
DRAWN: Final = 2048
LARGEST: Final = 1e9
"""Numbers beyond it are no measurement of a mill, and would not fit into the trees."""
FLOORS: Final[Row] = np.array([100.0, 2.0, 2.0, 0.15, 1.0, 2.0, 0.3, 0.3, 0.2, 0.1])
"""Least spread that is believed of each field, in its unit (vibration: logarithm); minutes have not shown all there is."""
MACHINES: Final = 200


@dataclass(frozen=True, slots=True)
class Model:
    """``middle`` and ``width`` of healthy scores, by which 1 is the threshold; ``usual`` and ``spread`` (n_fields,) of the fields,
    and ``axes`` (n_fields, n_fields) from there to what the trees cut."""

    forest: FlatForest
    middle: float
    width: float
    usual: Row
    spread: Row
    axes: Row
    count: int

    def anomaly(self, row: Row) -> Anomaly | None:
        """What is wrong with a row (n_fields,), NaN where it says nothing; None where nothing is."""
        within = np.clip(row, -LARGEST, LARGEST)
        off = (np.where(np.isnan(row), self.usual, _straight(within)) - self.usual) / self.spread
        raw = self.forest.score(off @ self.axes)
        score = (raw - self.middle) / self.width
        if score <= 1.0:
            return None
        worst = int(np.argmax(np.abs(off)))
        return Anomaly(
            detector="forest",
            rule="isolation_forest",
            metric=FIELDS[worst],
            value=float(row[worst]),
            threshold=round(self.middle + self.width, 4),
            score=round(score, 4),
            severity="critical" if score >= 2.0 else "warning",
            message=f"isolated at {raw:.2f} by a forest of {self.count} documents; most unusual is {FIELDS[worst]} "
            f"= {row[worst]:g}, {'above' if off[worst] > 0 else 'below'} the usual by {abs(off[worst]):.1f} spreads",
        )


class MachineForest:
    """Rows of one machine, and the forest that was made of them."""

    def __init__(self) -> None:
        self.model: Model | None = None
        self._rows: list[npt.NDArray[np.float32]] = []
        self._seen = 0
        self._grow_at = FIRST

    @property
    def is_due(self) -> bool:
        return self._seen >= self._grow_at

    def learn(self, document: Mapping[str, Any]) -> None:
        """Take a document for normal, unless it breaks a limit or shows nothing of a spindle."""
        row = row_of(document)
        if np.isnan(row).sum() > len(FIELDS) // 2 or np.nanmax(np.abs(row)) > LARGEST or limit_rules(document):
            return
        self._rows.append(row.astype(np.float32))
        self._seen += 1
        if len(self._rows) > MOST:
            self._rows = self._rows[::2]

    def training(self, seed: int) -> Callable[[], Model]:
        """The work of growing a forest: a function for a thread, that holds all it needs."""
        rows = np.array(self._rows)
        self._grow_at = self._seen + min(self._seen, MOST)
        return lambda: train(rows, seed)

    def pack(self) -> bytes:
        """Rows and forest as a file's content; arrays and JSON only, so that reading it runs no code."""
        model = self.model
        # A copy first: the event loop may go on learning while a thread packs.
        arrays: dict[str, Any] = {"rows": np.array(list(self._rows), dtype=np.float32).reshape(-1, len(FIELDS))}
        facts: dict[str, Any] = {"fields": list(FIELDS), "seen": self._seen, "grow_at": self._grow_at}
        if model is not None:
            forest = model.forest.state()
            facts |= {name: forest.pop(name) for name in ("depth_limit", "norm")}
            facts |= {"middle": model.middle, "width": model.width, "count": model.count}
            arrays |= {**forest, "usual": model.usual, "spread": model.spread, "axes": model.axes}
        content = io.BytesIO()
        np.savez_compressed(content, allow_pickle=False, facts=np.array(json.dumps(facts)), **arrays)
        return content.getvalue()


def unpack(content: bytes) -> MachineForest:
    """What ``pack`` made. Raises ValueError for anything else, and for rows of other fields."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            arrays: dict[str, Any] = {name: file[name] for name in file.files}
        facts = json.loads(str(arrays.pop("facts")))
        rows = np.array(arrays["rows"], dtype=np.float32)
        if facts["fields"] != list(FIELDS) or rows.shape[1:] != (len(FIELDS),):
            raise ValueError("other fields")
        made = MachineForest()
        made._rows, made._seen, made._grow_at = list(rows), int(facts["seen"]), int(facts["grow_at"])
        if "norm" in facts:
            usual, spread, axes = (np.array(arrays[name], dtype=np.float64) for name in ("usual", "spread", "axes"))
            forest = restored({**arrays, **facts})
            if {usual.shape, spread.shape, axes.shape[1:], axes.shape[:1]} != {(len(FIELDS),)} or forest.feature.max() >= len(
                FIELDS
            ):
                raise ValueError("other fields")
            made.model = Model(forest, float(facts["middle"]), float(facts["width"]), usual, spread, axes, int(facts["count"]))
    except (KeyError, TypeError, EOFError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    return made


def row_of(document: Mapping[str, Any]) -> Row:
    """(n_fields,) numbers of a document, NaN where it holds none."""
    values = (field_of(document, field) for field in FIELDS)
    return np.array([np.nan if value is None else value for value in values])


def train(rows: Rows, seed: int) -> Model:
    """A forest of half of the rows (n, n_fields), NaN for what is missing, and its threshold from the other half."""
    known = ~np.isnan(rows).all(axis=0)
    straight = _straight(rows.astype(np.float64))
    straight[:, ~known] = 0.0
    straight = np.where(np.isnan(straight), np.nanmedian(straight, axis=0), straight)
    held_out = (np.arange(len(rows)) // BLOCK) % 2 == 1
    share = _shares(straight)
    rng = np.random.default_rng(seed)
    drawn = straight[rng.choice(len(rows), DRAWN, p=np.where(held_out, 0.0, share) / share[~held_out].sum())]
    usual = np.median(drawn, axis=0)
    low, high = np.quantile(drawn, (0.05, 0.95), axis=0)
    spread = np.maximum((high - low) / 3.29, FLOORS)
    off = (drawn - usual) / spread
    variances, axes = np.linalg.eigh(np.cov(off.T) + 0.02 * np.eye(len(FIELDS)))
    axes = axes / np.sqrt(variances)
    forest = grow((off @ axes).astype(np.float32), seed)
    scores = forest.scores((straight[held_out] - usual) / spread @ axes)
    middle, top = (float(level) for level in np.quantile(scores, (0.5, 0.99)))
    width = top - middle + max(MARGIN * (top - middle), LEAST) * (1.0 + YOUNG / len(rows))
    return Model(forest, middle, width, usual, spread, axes, len(rows))


def _straight(rows: Row) -> Row:
    """(..., n_fields) with vibration as a logarithm: noise and damage multiply it."""
    straight = rows.copy()
    straight[..., _VIBRATION] = np.log(np.maximum(rows[..., _VIBRATION], 0.0) + 0.05)
    return straight


def _shares(rows: Row) -> Row:
    """(n,) chance of each row to be drawn: the same for every state of the machine (speed, load, coolant), however seldom; a state
    of a few rows is as seldom as one of eight."""
    speed = np.digitize(rows[:, FIELDS.index("spindle.rpm")], (60.0, 2000.0, 4000.0, 8000.0))
    load = np.digitize(rows[:, FIELDS.index("spindle.load_percent")], (3.0, 15.0, 40.0))
    flows = rows[:, FIELDS.index("coolant.flow_rate_lpm")] > 2.0
    _, state, counts = np.unique(speed * 10 + load * 2 + flows, return_inverse=True, return_counts=True)
    weights = 1.0 / np.maximum(counts, 8)[state]
    shares: Row = weights / weights.sum()
    return shares


_VIBRATION: Final = FIELDS.index("spindle.vibration_mm_s")


class Forests:
    """The forests of all machines, MACHINES at most: the one that was silent longest makes room."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._machines: OrderedDict[str, MachineForest] = OrderedDict()

    def of(self, machine_id: str) -> MachineForest | None:
        return self._machines.get(machine_id)

    def learn(self, machine_id: str, document: Mapping[str, Any]) -> bool:
        """Take a document for normal; whether its machine's forest is due to be grown."""
        known = self._machines.get(machine_id)
        if known is None:
            known = self._machines[machine_id] = MachineForest()
        self._machines.move_to_end(machine_id)
        if len(self._machines) > MACHINES:
            self._machines.popitem(last=False)
        known.learn(document)
        return known.is_due

    def training(self, machine_id: str) -> Callable[[], Model] | None:
        """The growing that is due, for a thread; ``adopt`` takes its result."""
        known = self._machines.get(machine_id)
        return known.training(self._seed) if known is not None and known.is_due else None

    def adopt(self, machine_id: str, model: Model) -> MachineForest | None:
        """Judge by this forest from now on; None where the machine made room meanwhile."""
        known = self._machines.get(machine_id)
        if known is not None:
            known.model = model
        return known

    def take_up(self, machine_id: str, content: bytes) -> None:
        """What was stored by an earlier run. Raises ValueError where it is of no use."""
        self._machines[machine_id] = unpack(content)
