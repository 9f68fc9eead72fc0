"""Where FANUC and LinuxCNC read the same word differently: one table, no ``if dialect`` anywhere else.

The default, ``fanuc``, still runs the RS274 subset both share, with LinuxCNC's result.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    name: str
    dwell_p_ms: bool
    """P of G4 and of drilling cycles is in milliseconds when written without a point; else seconds."""
    cycle_repeat: str
    """Addresses that may carry a cycle's repeat count, in order of preference."""
    macro_b: bool
    """IF, WHILE, GOTO, G65, vacant variables, variable ranges; a full expression after ``=``."""
    o_words: bool
    """``O100 sub``, ``O100 if [..]`` and their kin, named parameters."""
    rotation_g68: bool
    """G68/G69, G15/G16, G50/G51 and the rest that LinuxCNC does not know."""
    rotation_r_incremental: bool
    """R of G68 adds to the angle so far under G91 (FANUC parameter 5400 RIN); else it is always absolute."""
    corner_arcs: bool
    """Cutter compensation goes round outside corners on an arc (FANUC parameter 19607 CCC); else on straight lines."""
    g10_fanuc: bool
    """G10 L10-L13 write tool offset memory, L20 writes G54.1 P; else they set from the current position."""
    feed_required: bool
    """A cutting block with F never given is alarm PS0011; else it passes with feed 0."""
    strict_addresses: bool
    """Digit counts, minus signs and decimal points are checked address by address (PS0003, PS0006, PS0007)."""
    reference_in_cycle: bool
    """G28/G30 may stand in a canned cycle's mode; else PS0044."""
    motion_at_start: int | None
    """Motion G code x10 before the program gives one; None: axis words need one first."""
    retract_initial_at_start: bool
    """Cycles return to the initial level (G98) before the program says so; else to R (G99)."""
    tap_axes_shifted: bool
    """G84 and G74 without M29 in G18 and G19 move as LinuxCNC 2.9 moves them, by which the common subset is judged."""
    peck_clearance_mm: float
    """Gap left above the last depth (FANUC parameters 5114 and 5115)."""
    increment_mm: float | None
    """Value of the last digit of a length written without a point (IS-B 0.001); None: calculator type, X1000 is 1000 mm."""


FANUC = Dialect(
    name="fanuc",
    dwell_p_ms=True,
    cycle_repeat="KL",
    macro_b=True,
    o_words=False,
    rotation_g68=True,
    rotation_r_incremental=False,
    corner_arcs=True,
    g10_fanuc=True,
    feed_required=True,
    strict_addresses=True,
    reference_in_cycle=False,
    motion_at_start=0,
    retract_initial_at_start=True,
    tap_axes_shifted=True,
    peck_clearance_mm=0.254,
    increment_mm=None,
)

LINUXCNC = Dialect(
    name="linuxcnc",
    dwell_p_ms=False,
    cycle_repeat="L",
    macro_b=False,
    o_words=True,
    rotation_g68=False,
    rotation_r_incremental=False,
    corner_arcs=True,
    g10_fanuc=False,
    feed_required=False,
    strict_addresses=False,
    reference_in_cycle=True,
    motion_at_start=None,
    retract_initial_at_start=False,
    tap_axes_shifted=True,
    peck_clearance_mm=0.254,
    increment_mm=None,
)

DIALECTS = {"fanuc": FANUC, "linuxcnc": LINUXCNC}
