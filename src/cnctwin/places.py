"""Who gives way when all places are taken: somebody of those who hold most, for somebody who holds fewer.

    held    alice: A A A B     bob: C     carol: C C
    asks    dave at D  ->  one of alice at A: alice has most of all, and most of hers at A
            alice at B ->  one of alice at A
            alice at A ->  nobody: it would be her own

A path names a holder, from what counts first to what counts last, such as (user, address, application). Who asks gets a place as
long as the other one has as many as he then: nobody takes from each other in turns. Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

Path = tuple[Hashable, ...]


def gives_way(asks: Path, held: Sequence[Path]) -> Path | None:
    """Whose place it is that ``asks`` gets, of those that are ``held``; None where it is nobody's. All paths are of one length."""
    for depth in range(len(asks)):
        counts = Counter(path[: depth + 1] for path in held if path[:depth] == asks[:depth])
        if not counts:
            return None
        most = max(counts, key=lambda prefix: counts[prefix])
        if counts[most] >= counts[asks[: depth + 1]] + 2:
            return holds_most([path for path in held if path[: depth + 1] == most])
    return None


def holds_most(held: Sequence[Path]) -> Path:
    """Who has most of the places, by what counts first, and among those by what counts next. There is one at least."""
    kept = list(held)
    for depth in range(len(kept[0])):
        counts = Counter(path[: depth + 1] for path in kept)
        most = max(counts, key=lambda prefix: counts[prefix])
        kept = [path for path in kept if path[: depth + 1] == most]
    return kept[0]
