"""What a life model is: it watches frames, and says how long a part will last, or that it does not know yet.

update(time, numbers) ...  -->  estimate() -> {result signal: number or time} , None in place of what is not known
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from analytics.detectors.detector import Needs
from cnctwin.reading import Value


@dataclass(frozen=True, slots=True)
class Estimate:
    """``results``: value by result signal; a signal with None waits for data. ``plan``: arguments for ``maintenance_schedule``."""

    results: Mapping[str, Value | None]
    plan: Mapping[str, Any] = field(default_factory=dict)


class RulModel(Protocol):
    """The contract; pure, time comes with the data (ns since the epoch). ``needs``: as of a detector."""

    needs: Needs

    def update(self, time_ns: int, numbers: Mapping[str, float], *, fresh: bool, row_s: float = 0.5) -> None:
        """``numbers``: Good signals of one frame by name. ``fresh``: nothing is known of the time before it. ``row_s``: seconds of
        the machine from one frame to the next."""

    def estimate(self) -> Estimate: ...

    def state(self) -> dict[str, Any]: ...

    def restore(self, state: Mapping[str, Any]) -> None:
        """Raises KeyError, TypeError or ValueError when the state is not of this version."""
