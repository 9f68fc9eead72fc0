"""The states of one condition, and what changes them (OPC 10000-9, 5.5 to 5.8). Pure: times come in, UTC, ns since the epoch.

    present state                                      branches: earlier states that still want somebody
    +--------------------------------------------+     +--------------------------+
    | inactive ---beyond a limit, alarm---> level|     | inactive, not yet        |
    |    ^-----------back to normal-----------'  |     | acknowledged / confirmed |
    |                                            |     +--------------------------+
    | active again while unacknowledged ---------+--------^          | Acknowledge, Confirm (by EventId)
    | Acknowledge -> acked, not confirmed        |                   v
    | Confirm     -> confirmed                   |                  gone
    +--------------------------------------------+

An alarm that was at a level that latches stays on the screen until it is normal, acknowledged, and Reset. An alarm is suppressed
when an operator says so, or while an alarm of a group that explains it is active.

Every change has an EventId of its own. A branch is known by all EventIds it was told with since it became unacknowledged, so
that an acknowledgement is not lost to a comment that came in between. Methods return the branches to tell, in order.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from opcua_server.alarms.branch import Branch, Comment, Refused

Shelving = Literal["Unshelved", "TimedShelved", "OneShotShelved"]
MOST_BRANCHES: Final = 8
"""Earlier states kept for each condition; the oldest is given up, and told so, when nobody acknowledges anything."""
MOST_IDS: Final = 32
"""EventIds by which a branch is known."""
MAX_SHELVED_MS: Final = 8 * 3_600_000.0
"""MaxTimeShelved: one shift."""
_NS_PER_MS: Final = 1_000_000


@dataclass(slots=True)
class Condition:
    """``new_id`` makes EventIds. ``quality``: status code of what it is judged by. ``latches``: levels after which it wants to be
    reset. ``explained``: the alarm for which a group suppresses it; ``suppressed``: whether an operator does."""

    name: str
    new_id: Callable[[], bytes]
    max_shelved_ms: float = MAX_SHELVED_MS
    enabled: bool = True
    enabled_ns: int = 0
    present: Branch = field(default_factory=Branch)
    branches: dict[int, Branch] = field(default_factory=dict)
    made_branches: int = 0
    quality: int = 0
    quality_ns: int = 0
    shelving: Shelving = "Unshelved"
    unshelve_ns: int = 0
    suppressed: bool = False
    explained: str = ""
    suppressed_ns: int = 0
    out_of_service: bool = False
    out_of_service_ns: int = 0
    latches: frozenset[str] = frozenset()
    latched: bool = False
    latched_ns: int = 0
    _input: tuple[str | None, int, str] | None = None
    """What the process showed last while it was disabled."""

    @classmethod
    def new(
        cls, name: str, new_id: Callable[[], bytes], now_ns: int, severity: int = 1, latches: frozenset[str] = frozenset()
    ) -> Condition:
        """One that nothing has happened to yet; all its states hold since now."""
        present = Branch(
            severity=severity, event_ids=(new_id(),), told_ns=now_ns, active_ns=now_ns, acked_ns=now_ns, confirmed_ns=now_ns,
            severity_ns=now_ns, comment_ns=now_ns,
        )  # fmt: skip
        return cls(
            name, new_id, enabled_ns=now_ns, present=present, quality_ns=now_ns, suppressed_ns=now_ns, out_of_service_ns=now_ns,
            latches=latches, latched_ns=now_ns,
        )  # fmt: skip

    # What it shows ----------------------------------------------------------------------------------------------------

    @property
    def level(self) -> str | None:
        """What the process was seen at last, also while it is disabled."""
        return self._input[0] if self._input is not None else self.present.level

    @property
    def is_active(self) -> bool:
        """Whether it says now that something is wrong: what is disabled says nothing."""
        return self.enabled and self.level is not None

    def retains(self, branch: Branch) -> bool:
        """Whether a client should keep a branch on its screen."""
        return self.enabled and (branch.wants_somebody or (self.latched and branch is self.present))

    def retained(self) -> list[Branch]:
        """What a refresh tells: earlier states first."""
        return [branch for branch in [*self.branches.values(), self.present] if self.retains(branch)]

    @property
    def is_shelved(self) -> bool:
        return self.shelving != "Unshelved"

    @property
    def is_suppressed(self) -> bool:
        return self.suppressed or bool(self.explained)

    @property
    def is_put_aside(self) -> bool:
        """SuppressedOrShelved: operators' screens may leave it out (5.8.2)."""
        return self.is_shelved or self.is_suppressed or self.out_of_service

    def unshelve_ms(self, now_ns: int) -> float:
        """Time until it unshelves itself; 0 while it is not shelved."""
        return max(0.0, (self.unshelve_ns - now_ns) / _NS_PER_MS) if self.is_shelved else 0.0

    @property
    def is_worth_keeping(self) -> bool:
        """Whether anything is lost when it is forgotten."""
        by_operator = not self.enabled or self.is_shelved or self.suppressed or self.out_of_service
        return bool(by_operator or self.branches or self.present.wants_somebody or self.latched or self.present.comment)

    # What happens -----------------------------------------------------------------------------------------------------

    def observe(self, level: str | None, severity: int, message: str, now_ns: int) -> list[Branch]:
        """The process is at a level, or back to normal (None). A rise in severity wants a new acknowledgement."""
        if not self.enabled:
            self._input = (level, severity, message)
            return []
        present = self.present
        if level == present.level and (level is None or (severity, message) == (present.severity, present.message)):
            return []
        told: list[Branch] = []
        was_active, is_active = present.level is not None, level is not None
        if is_active and (not was_active or (present.acked and severity > present.severity)):
            if not (present.acked and present.confirmed):
                told += self._set_apart(now_ns)
            present.acked, present.confirmed, present.event_ids = False, True, ()
            present.acked_ns = now_ns
        if was_active is not is_active:
            present.active_ns = now_ns
        if level in self.latches and not self.latched:
            self.latched, self.latched_ns = True, now_ns
        if is_active and severity != present.severity:
            present.last_severity, present.severity, present.severity_ns = present.severity, severity, now_ns
        present.level, present.message = level, message
        if not is_active and self.shelving == "OneShotShelved":
            self.shelving = "Unshelved"
        return [*told, self._tell(present, now_ns)]

    def judge(self, quality: int, now_ns: int) -> list[Branch]:
        """What it is judged by has another status now. Told only while somebody should look at it."""
        if quality == self.quality:
            return []
        self.quality, self.quality_ns = quality, now_ns
        return [self._tell(self.present, now_ns)] if self.retains(self.present) else []

    def explain(self, explained: str, now_ns: int) -> list[Branch]:
        """A group suppresses it now, or no longer (empty). Told only while somebody should look at it."""
        if bool(explained) is bool(self.explained):
            self.explained = explained
            return []
        before, self.explained = self.is_suppressed, explained
        if self.is_suppressed is before:
            return []
        self.suppressed_ns = now_ns
        return [self._tell(self.present, now_ns)] if self.retains(self.present) else []

    def clock_set(self, by_ns: int) -> None:
        """What is shelved is hidden no hour longer by a clock that is set back by one, and shown no earlier by one set ahead."""
        if self.is_shelved:
            self.unshelve_ns += by_ns

    def pass_time(self, now_ns: int) -> list[Branch]:
        """Unshelve what was shelved long enough."""
        if not self.is_shelved or now_ns < self.unshelve_ns:
            return []
        self.shelving = "Unshelved"
        return [self._tell(self.present, now_ns)] if self.enabled else []

    # What operators do ------------------------------------------------------------------------------------------------

    def acknowledge(self, event_id: bytes, comment: Comment, user: str, now_ns: int) -> list[Branch]:
        branch = self._known_by(event_id)
        comment.must_fit()
        if branch.acked:
            raise Refused("BadConditionBranchAlreadyAcked")
        branch.acked, branch.confirmed = True, False
        branch.acked_ns = branch.confirmed_ns = now_ns
        branch.note(comment, user, now_ns)
        return [self._tell(branch, now_ns)]

    def confirm(self, event_id: bytes, comment: Comment, user: str, now_ns: int) -> list[Branch]:
        branch = self._known_by(event_id)
        comment.must_fit()
        if branch.confirmed:
            raise Refused("BadConditionBranchAlreadyConfirmed", "" if branch.acked else "It is not acknowledged yet")
        branch.confirmed, branch.confirmed_ns = True, now_ns
        branch.note(comment, user, now_ns)
        self.branches.pop(branch.number, None)
        return [self._tell(branch, now_ns)]

    def add_comment(self, event_id: bytes, comment: Comment, user: str, now_ns: int) -> list[Branch]:
        """Nothing said is nothing to add (5.5.6)."""
        branch = self._known_by(event_id)
        comment.must_fit()
        if comment.is_null:
            raise Refused("BadInvalidArgument", "There is no comment")
        branch.note(comment, user, now_ns)
        return [self._tell(branch, now_ns)]

    def disable(self, now_ns: int) -> list[Branch]:
        if not self.enabled:
            raise Refused("BadConditionAlreadyDisabled")
        present = self.present
        self._input = (present.level, present.severity, present.message)
        self.enabled, self.enabled_ns = False, now_ns
        return [self._tell(branch, now_ns) for branch in [*self.branches.values(), present]]

    def enable(self, now_ns: int) -> list[Branch]:
        """What the process shows by now is taken over."""
        if self.enabled:
            raise Refused("BadConditionAlreadyEnabled")
        self.enabled, self.enabled_ns = True, now_ns
        told = [self._tell(branch, now_ns) for branch in self.branches.values()]
        seen, self._input = self._input, None
        changed = self.observe(*seen, now_ns) if seen is not None else []
        return [*told, *(changed or [self._tell(self.present, now_ns)])]

    def timed_shelve(self, time_ms: float, now_ns: int) -> list[Branch]:
        self._must_be_enabled()
        if self.shelving == "TimedShelved":
            raise Refused("BadConditionAlreadyShelved")
        if not 0.0 < time_ms <= self.max_shelved_ms:
            raise Refused("BadShelvingTimeOutOfRange", f"ShelvingTime must be more than 0 and up to {self.max_shelved_ms:g} ms")
        return self._shelve("TimedShelved", time_ms, now_ns)

    def one_shot_shelve(self, now_ns: int) -> list[Branch]:
        self._must_be_enabled()
        if self.shelving == "OneShotShelved":
            raise Refused("BadConditionAlreadyShelved")
        return self._shelve("OneShotShelved", self.max_shelved_ms, now_ns)

    def unshelve(self, now_ns: int) -> list[Branch]:
        self._must_be_enabled()
        if not self.is_shelved:
            raise Refused("BadConditionNotShelved")
        self.shelving = "Unshelved"
        return [self._tell(self.present, now_ns)]

    def suppress(self, suppressed: bool, now_ns: int) -> list[Branch]:
        """Suppress, or no longer. What is so already stays so, and is no error (5.8.8, 5.8.10); so does what a group suppresses."""
        self._must_be_enabled()
        before, self.suppressed = self.is_suppressed, suppressed
        if self.is_suppressed is before:
            return []
        self.suppressed_ns = now_ns
        return [self._tell(self.present, now_ns)]

    def reset(self, now_ns: int) -> list[Branch]:
        """Take off the latch of what is normal again and acknowledged (5.8.5)."""
        self._must_be_enabled()
        if not self.latched or self.present.level is not None or not self.present.acked:
            why = "It is not latched" if not self.latched else "It is active" if self.present.acked else "It is not acknowledged"
            raise Refused("BadInvalidState", why)
        self.latched, self.latched_ns = False, now_ns
        return [self._tell(self.present, now_ns)]

    def take_out(self, out_of_service: bool, now_ns: int) -> list[Branch]:
        """Remove from service, or place in it again (5.8.12, 5.8.14)."""
        self._must_be_enabled()
        if out_of_service is self.out_of_service:
            return []
        self.out_of_service, self.out_of_service_ns = out_of_service, now_ns
        return [self._tell(self.present, now_ns)]

    def remark(self, act: Callable[[], list[Branch]], comment: Comment, user: str, now_ns: int) -> list[Branch]:
        """``act``, and what is said with it: of the present state, whatever came of the act."""
        comment.must_fit()
        told = act()
        if comment.is_null:
            return told
        self.present.note(comment, user, now_ns)
        return told or [self._tell(self.present, now_ns)]

    # ------------------------------------------------------------------------------------------------------------------

    def _shelve(self, shelving: Shelving, time_ms: float, now_ns: int) -> list[Branch]:
        self.shelving, self.unshelve_ns = shelving, now_ns + round(time_ms * _NS_PER_MS)
        return [self._tell(self.present, now_ns)]

    def _must_be_enabled(self) -> None:
        if not self.enabled:
            raise Refused("BadConditionDisabled")

    def _known_by(self, event_id: bytes) -> Branch:
        self._must_be_enabled()
        for branch in [self.present, *self.branches.values()]:
            if event_id and event_id in branch.event_ids:
                return branch
        raise Refused("BadEventIdUnknown", "It has changed since, or that was long ago: this is no EventId of its last states")

    def _set_apart(self, now_ns: int) -> list[Branch]:
        """Keep the present state as a branch: it still wants somebody, and something new comes. An active one that rises in
        severity is no longer what it was, so the branch is what is left to confirm."""
        self.made_branches += 1
        branch = replace(self.present, number=self.made_branches, level=None)
        self.branches[branch.number] = branch
        told = []
        if len(self.branches) > MOST_BRANCHES:
            given_up = self.branches.pop(next(iter(self.branches)))
            given_up.acked = given_up.confirmed = True
            told.append(self._tell(given_up, now_ns))
        return [*told, self._tell(branch, now_ns)]

    def _tell(self, branch: Branch, now_ns: int) -> Branch:
        branch.told_ns = now_ns
        branch.event_ids = (*branch.event_ids[-(MOST_IDS - 1) :], self.new_id())
        return branch
