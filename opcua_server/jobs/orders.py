"""A job order and its states (OPC 10031-4, 6.2.1). Pure.

                 Start                    runs on the machine         last run done, Stop
NOT_ALLOWED <------------> ALLOWED --------------------------> RUNNING ------------------> ENDED
    |        RevokeStart     |                                  |   ^                        ^
    |                        |                 hold, alarm, Pause|   | goes on, Resume        | Stop
    |                        |                                  v   |                        |
    |                        |                              INTERRUPTED ---------------------'
    '------------------------'--Abort---------------------------'---------> ABORTED  <-- RUNNING
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class JobState(IntEnum):
    """By StateNumber of ISA95JobOrderReceiverObjectType."""

    NOT_ALLOWED_TO_START = 1
    ALLOWED_TO_START = 2
    RUNNING = 3
    INTERRUPTED = 4
    ENDED = 5
    ABORTED = 6

    @property
    def words(self) -> str:
        """What people call it."""
        return self.name.replace("_", " ").lower()


_S = JobState
PREPARED: Final = frozenset({_S.NOT_ALLOWED_TO_START, _S.ALLOWED_TO_START})
"""Not begun: may be changed and cancelled; there is no response yet."""
BEGUN: Final = frozenset({_S.RUNNING, _S.INTERRUPTED})
OVER: Final = frozenset({_S.ENDED, _S.ABORTED})
TRANSITIONS: Final[dict[JobState, frozenset[JobState]]] = {
    _S.NOT_ALLOWED_TO_START: frozenset({_S.NOT_ALLOWED_TO_START, _S.ALLOWED_TO_START, _S.ABORTED}),
    _S.ALLOWED_TO_START: frozenset({_S.ALLOWED_TO_START, _S.NOT_ALLOWED_TO_START, _S.RUNNING, _S.ABORTED}),
    _S.RUNNING: frozenset({_S.INTERRUPTED, _S.ENDED, _S.ABORTED}),
    _S.INTERRUPTED: frozenset({_S.RUNNING, _S.ENDED, _S.ABORTED}),
    _S.ENDED: frozenset(),
    _S.ABORTED: frozenset(),
}
"""Those that the official state machine has."""


class ReturnStatus:
    """What a job method answers: a bit each (OPC 10031-4, Annex B.2)."""

    NO_ERROR: Final = 1 << 0
    UNKNOWN_ORDER: Final = 1 << 1
    """No order has this JobOrderID."""
    INVALID_STATE: Final = 1 << 3
    """The order's state does not allow it."""
    NOT_ACCEPTED: Final = 1 << 4
    """The order cannot be taken: its ID is in use, the list is full, or the machine knows none of its work masters."""
    INVALID_REQUEST: Final = 1 << 32
    """The machine refuses it, or the request makes no sense."""


@dataclass(frozen=True, slots=True)
class Order:
    """What was ordered. ``content``: the whole ISA95JobOrderDataType in OPC UA binary, which nobody here looks into."""

    order_id: str
    content: bytes
    work_masters: tuple[str, ...]
    """NC programs; the first that the machine has is run."""
    runs: int = 1
    priority: int = 0
    """Higher ones come first."""
    not_before_ns: int = 0
    """StartTime; 0 for none."""


@dataclass(slots=True)
class Job:
    """An order on its way. ``number``: in which order they came. Times in ns since the epoch, 0 when not yet."""

    order: Order
    number: int
    program: str
    state: JobState = JobState.NOT_ALLOWED_TO_START
    runs_completed: int = 0
    started_ns: int = 0
    ended_ns: int = 0
    reason: str = ""
    """Why it is in its state, when that is not what was ordered: a person reads it in the response's Description."""

    @property
    def is_successful(self) -> bool:
        return self.state is JobState.ENDED and self.runs_completed >= self.order.runs
