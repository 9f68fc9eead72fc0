"""What is the matter with a server that is there: logged when it begins and when it is over, and told as long as it lasts.

What comes and goes within HOLD_S, such as a sensor that is broken now and then, is one remark.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from typing import Final

from cnctwin.link.contract import Remark

log = logging.getLogger(__name__)
HOLD_S: Final = 30.0
SHOWN: Final = 3
"""Signals that a remark names; of the others it gives the number."""


class Remarks:
    """Those of one server. Pure but for the log."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: dict[tuple[str, str], tuple[Remark, float]] = {}
        """Machine and what it is about -> the remark, and when it was so last."""

    def take(self, found: Mapping[tuple[str, str], str], now_s: float) -> tuple[Remark, ...]:
        """All remarks that hold, given what is found now: machine and what it is about -> the remark."""
        for about, text in found.items():
            remark = Remark(about[0], text)
            if about not in self._known:
                log.warning("%s: %s", self._url, remark)
            self._known[about] = remark, now_s
        for about, (remark, seen_s) in list(self._known.items()):
            if now_s - seen_s > HOLD_S:
                del self._known[about]
                log.info("%s: over: %s", self._url, remark)
        return tuple(remark for remark, _ in self._known.values())


def named(signals: Iterable[str]) -> str:
    """The first few of some signals: "Spindle/ActSpeed, Tool/Number and 3 others"."""
    names = sorted(signals)
    shown = ", ".join(names[:SHOWN])
    more = len(names) - SHOWN
    return shown if more <= 0 else f"{shown} and {more} other{'s' if more > 1 else ''}"
