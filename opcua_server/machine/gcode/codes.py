"""The G codes that exist, by modal group. Codes are times 10, so that 540 is G54 and 541 is G54.1."""

from __future__ import annotations

_BOTH: dict[str, tuple[int, ...]] = {
    "motion": (0, 10, 20, 30, 730, 740, 760, 800, 810, 820, 830, 840, 850, 860, 870, 880, 890),
    "plane": (170, 180, 190),
    "units": (200, 210),
    "distance": (900, 910),
    "arc distance": (901, 911),
    "feed mode": (930, 940, 950),
    "compensation": (400, 410, 420),
    "length": (430, 490),
    "work": (540, 550, 560, 570, 580, 590),
    "path": (610, 640),
    "return": (980, 990),
    "surface speed": (960, 970),
}
_FANUC: dict[str, tuple[int, ...]] = {
    "motion": (330,),
    "length": (440,),
    "work": (541,),
    "path": (611, 620, 630),
    "modal macro": (660, 661, 670),
    "rotation": (680, 690),
    "polar": (150, 160),
    "scaling": (500, 510),
    "mirror": (501, 511),
    "lathe": (80,),
}
_LINUXCNC: dict[str, tuple[int, ...]] = {
    "motion": (50, 51, 52, 53, 330, 331, 382, 383, 384, 385),
    "length": (431, 432),
    "work": (591, 592, 593),
    "path": (611,),
    "compensation": (411, 421),
    "lathe": (70, 80),
}
_ONCE_BOTH = (40, 100, 280, 281, 300, 301, 520, 530, 920, 921, 922, 923)
_ONCE_FANUC = (50, 51, 90, 110, 270, 290, 310, 311, 312, 313, 600, 650)
_ONCE_LINUXCNC: tuple[int, ...] = ()


def _table(own: dict[str, tuple[int, ...]], once: tuple[int, ...]) -> dict[int, str]:
    table = {code: group for groups in (_BOTH, own) for group, codes in groups.items() for code in codes}
    table.update(dict.fromkeys((*_ONCE_BOTH, *once), "once"))
    return table


GROUPS = {"fanuc": _table(_FANUC, _ONCE_FANUC), "linuxcnc": _table(_LINUXCNC, _ONCE_LINUXCNC)}
"""Group of each code by dialect; "once" marks codes that act in their block only."""
