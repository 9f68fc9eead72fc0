"""A question of the machine to whoever operates it (DialogConditionType, OPC 10000-9, 5.6): go on after M0 or M1?

    program stop (M0, M1) --> asks: Retain, DialogState active --Respond 0--> cycle start: the program goes on
                                                               --Respond 1--> the program is ended
                                                               --nobody answered, somebody used the panel--> it asks no longer

Pure but for ``act``, which carries an answer out. A dialog wants no acknowledgement: an answer is all there is to give.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from opcua_server.alarms.branch import Branch, Comment, Refused
from opcua_server.alarms.condition import Condition

OPTIONS: Final = ("Go on", "End the program")
COMMANDS: Final = ("Start", "Stop")
"""What each answer is as a command."""
OK, CANCEL = 0, 1
NOBODY: Final = -1
"""LastResponse before anybody answered (5.6.2)."""
ASKING: Final = "Active"


async def _nobody(_command: str) -> None:
    raise Refused("BadInvalidState")


@dataclass(slots=True)
class Dialog(Condition):
    """``prompt``: what was asked last. ``last``: index of the last answer. ``act``: carries out the command of an answer; raises
    what refuses it."""

    prompt: str = ""
    last: int = NOBODY
    act: Callable[[str], Awaitable[None]] = field(default=_nobody)

    @classmethod
    def nobody_asked(cls, name: str, new_id: Callable[[], bytes], now_ns: int) -> Dialog:
        """One that nothing has happened to yet."""
        present = Condition.new(name, new_id, now_ns).present
        return cls(name, new_id, enabled_ns=now_ns, present=present, quality_ns=now_ns)

    @property
    def asks(self) -> bool:
        return self.present.level is not None

    def observe(self, level: str | None, severity: int, message: str, now_ns: int) -> list[Branch]:
        """It asks (level ``ASKING``), or asks no longer (None). What is asked while it is disabled is asked when it is enabled."""
        present = self.present
        if not self.enabled:
            self._input = (level, severity, message)
            return []
        if level == present.level and message == present.message:
            return []
        if (level is None) is not (present.level is None):
            present.active_ns = now_ns
        present.level, present.message, present.severity = level, message, severity
        if level is not None:
            self.prompt = message
        return [self._tell(present, now_ns)]

    async def respond(self, choice: int, comment: Comment | None, user: str, now_ns: int) -> list[Branch]:
        """Somebody answers: the machine does it, or the dialog stays. Raises Refused, and what ``act`` raises."""
        self._must_be_enabled()
        if not self.asks:
            raise Refused("BadDialogNotActive")
        if not 0 <= choice < len(OPTIONS):
            raise Refused("BadDialogResponseInvalid", f"SelectedResponse must be 0 to {len(OPTIONS) - 1}")
        if comment is not None:
            comment.must_fit()
        await self.act(COMMANDS[choice])
        self.last = choice
        self.present.note(comment or Comment(None), user, now_ns)
        return self.observe(None, self.present.severity, f"{OPTIONS[choice]}: {user}", now_ns)
