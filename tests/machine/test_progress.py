"""How far a program is, and how long it will take."""

from __future__ import annotations

import numpy as np
import pytest

from nodesets.states import MachineState

from .running import COLUMN, SHORT, now, run, source


def test_progress_grows_from_0_to_100() -> None:
    machine = source(repeat=False)
    machine.call("Start", [])
    seen = []
    for _ in range(400):
        run(machine, 0.1)
        if now(machine, "Machine/State") != MachineState.RUNNING:
            break
        seen.append(now(machine, "Channel/Progress"))
    assert seen == sorted(seen)
    assert len(set(seen)) > 5
    assert now(machine, "Channel/Progress") == 100.0


@pytest.mark.parametrize(
    ("block", "seconds"),
    [("G1 X72 F200", 25.2), ("G4 X20", 20.0), ("G2 I5 F60", 31.4)],
    ids=["line", "dwell", "circle"],
)
def test_progress_and_the_time_that_is_left_go_on_within_a_move(block: str, seconds: float) -> None:
    """As a clock does, where feed and planned time are the same; a hold stops both."""
    machine = source({"short.nc": SHORT.replace("G1 X72 F1000", block).replace("Z-2", "Z2")}, repeat=False)
    machine.call("Start", [])
    line, shown = SHORT.splitlines().index("G1 X72 F1000") + 1, []
    for _ in range(600):
        machine.advance(0.1, 1)
        if now(machine, "Machine/State") != MachineState.RUNNING:
            break
        active = machine.machine.controller.active
        if active is not None and active.line == line:
            shown.append((now(machine, "Channel/Progress"), now(machine, "Channel/RemainingTime")))
        if len(shown) == 50:
            machine.call("Hold", [])
            run(machine, 1.0)
            held = run(machine, 5.0)[:, [COLUMN["Channel/Progress"], COLUMN["Channel/RemainingTime"]]]
            assert (held == held[0]).all()
            machine.call("Start", [])
    percent, left_s = np.array(shown).T
    assert (np.diff(percent) >= 0.0).all()
    assert (np.diff(left_s) <= 0.0).all()
    assert len(shown) > 10.0 * seconds - 5
    assert (np.diff(percent[5:-5]) > 0.0).mean() > 0.95
    assert left_s[10] - left_s[-10] == pytest.approx(0.1 * (len(left_s) - 20), rel=0.05)
