"""Sums that are the same to the last bit in every Python, and in columns.

``sum`` of floats makes up for what is rounded off since Python 3.12, and does not before; numpy adds columns one after another.
"""

from __future__ import annotations

import functools
import operator
from collections.abc import Iterable


def added(numbers: Iterable[float]) -> float:
    """One after another, each rounded."""
    return functools.reduce(operator.add, numbers, 0.0)
