"""What the operator sets while the path is followed: overrides, hold, single block, dry run."""

from __future__ import annotations

from abc import ABC, abstractmethod


class Panel(ABC):
    """The operator's side of ``Motion``: what is set here acts in the middle of a move."""

    def __init__(self, most_feed: float) -> None:
        self._most_feed = most_feed
        self.between_blocks = False
        """Single block: waits for ``cycle_start``."""
        self.holding = False
        """Feed hold is on."""
        self._announced = False
        """That the axes stand in feed hold has been told."""
        self._feed_override = 1.0
        self._rapid_override = 1.0
        self._single_block = False
        self._dry_run = False

    @abstractmethod
    def _adapt(self) -> None:
        """Something changed: plan again from the present place and speed."""

    def feed_hold(self) -> None:
        """Brake on the path within the limits and stand (event "held"). Dwells stop counting. A tap comes out
        of its thread before."""
        if not self.holding:
            self.holding = True
            self._announced = False
            self._adapt()

    def cycle_start(self) -> None:
        """Leave feed hold, or the stand after a single block."""
        self.between_blocks = False
        if self.holding:
            self.holding = self._announced = False
            self._adapt()

    @property
    def feed_override(self) -> float:
        """0.0 to ``max_feed_override`` (1.5); 0 stops cutting moves; tapping is not affected."""
        return self._feed_override

    @feed_override.setter
    def feed_override(self, ratio: float) -> None:
        ratio = min(max(float(ratio), 0.0), self._most_feed)
        if ratio != self._feed_override:
            self._feed_override = ratio
            self._adapt()

    @property
    def rapid_override(self) -> float:
        """0.0 to 1.0; 0 stops rapids."""
        return self._rapid_override

    @rapid_override.setter
    def rapid_override(self, ratio: float) -> None:
        ratio = min(max(float(ratio), 0.0), 1.0)
        if ratio != self._rapid_override:
            self._rapid_override = ratio
            self._adapt()

    @property
    def single_block(self) -> bool:
        """Stand after each block of the program (all moves of one line), or after the next one that can still be reached."""
        return self._single_block

    @single_block.setter
    def single_block(self, on: bool) -> None:
        if bool(on) != self._single_block:
            self._single_block = bool(on)
            self._adapt()

    @property
    def dry_run(self) -> bool:
        """Cut at the dry-run feed instead of F."""
        return self._dry_run

    @dry_run.setter
    def dry_run(self, on: bool) -> None:
        if bool(on) != self._dry_run:
            self._dry_run = bool(on)
            self._adapt()
