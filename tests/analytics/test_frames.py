"""Readings become rows at a fixed rate; what cannot be believed is masked, and a hole is not bridged."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analytics.expectations import Baseline, robust
from analytics.features import FEATURES, FLOORS, SIGNALS, Extractor
from analytics.frames import HOLE, Frame, Frames, stack
from cnctwin.reading import BAD_SENSOR_FAILURE, UNCERTAIN_NO_COMMUNICATION, Batch, Reading

NAMES = ("Spindle/ActSpeed", "Tool/InCut")
PERIOD = 500


def batch(when: int, *readings: Reading, gap: str | None = None) -> Batch:
    return Batch("M", when, readings, gap)


def speed(when: int, value: float | None, status: int = 0) -> Reading:
    return Reading("Spindle/ActSpeed", value, status, when, when)


def frames() -> Frames:
    return Frames(NAMES, ("Channel/ActProgramName",), PERIOD)


def test_a_frame_holds_what_was_true_at_its_time() -> None:
    made = frames()
    text = Reading("Channel/ActProgramName", "O1", 0, 100, 100)
    got = list(made.add(batch(100, speed(100, 1.0), text)))
    got += made.add(batch(400, speed(400, 2.0)))
    got += made.add(batch(500, speed(500, 3.0), Reading("Tool/InCut", True, 0, 500, 500)))
    got += made.add(batch(1300, speed(1300, 4.0)))
    assert [(f.time_ns, f.values[0]) for f in got] == [(500, 3.0), (1000, 3.0)]
    assert got[0].values[1] == 1.0
    assert got[0].texts == {"Channel/ActProgramName": "O1"}
    assert [f.fresh for f in got] == [True, False]


def test_the_older_part_of_a_sample_does_not_come_into_the_row_before_it() -> None:
    made = frames()
    # The axis stopped at 400, its scale says nothing new since; the motor's angle was read before it, and again with it at 510.
    got = [
        *made.add(Batch("M", 10, (speed(10, 1.0), Reading("Tool/InCut", True, 0, 10, 10)))),
        *made.add(Batch("M", 400, (Reading("Tool/InCut", False, 0, 400, 400),), sampled_ns=510)),
        *made.add(Batch("M", 510, (speed(510, 2.0),), sampled_ns=510)),
        *made.add(Batch("M", 1010, (speed(1010, 3.0),))),
    ]
    assert [(frame.time_ns, *frame.values) for frame in got] == [(500, 1.0, 1.0), (1000, 2.0, 0.0)]


def test_bad_and_uncertain_numbers_are_masked() -> None:
    made = frames()
    got = list(made.add(batch(500, speed(500, 1.0))))
    got += made.add(batch(900, speed(900, None, BAD_SENSOR_FAILURE)))
    got += made.add(batch(1400, speed(1400, 2.0, UNCERTAIN_NO_COMMUNICATION)))
    got += made.add(batch(1900, speed(1900, 3.0)))
    got += made.add(batch(2100))
    _, values, valid = stack(got)
    assert valid[:, 0].tolist() == [True, False, False, True]
    assert np.isnan(values[~valid]).all()


def test_a_hole_and_a_gap_begin_anew() -> None:
    made = frames()
    list(made.add(batch(500, speed(500, 1.0))))
    far = 500 + (HOLE + 3) * PERIOD
    assert list(made.add(batch(far, speed(far, 2.0)))) == []
    (after,) = made.add(batch(far + PERIOD, speed(far + PERIOD, 3.0)))
    assert after.fresh
    assert list(made.add(batch(far + 2 * PERIOD, speed(far + 2 * PERIOD, 3.0), gap="lost"))) == []


def test_a_machine_that_speaks_every_ten_seconds_gives_a_row_each_time_once_that_is_its_rhythm() -> None:
    """A server of another maker that looks at its control now and then: each silence was a hole, and no two rows hung together."""
    made, got = frames(), []
    for step in range(30):
        for late in (0, 40):  # two signals, each with a source time of its own
            now = 500 + step * 10_000 + late
            got += made.add(batch(now, speed(now, float(step)) if late else Reading("Tool/InCut", True, 0, now, now)))
    rows = got[-25:]
    assert [row.values[0] for row in rows] == [float(step) for step in range(4, 29)]
    assert np.diff([row.time_ns for row in rows]).tolist() == [10_000] * 24
    assert not any(row.fresh for row in rows)
    lost = 500 + 29 * 10_000 + 60_000
    assert list(made.add(batch(lost, speed(lost, 0.0)))) == [], "for a minute it has said nothing: a hole"


def test_a_clock_that_is_set_back_begins_anew_after_a_hole_and_not_when_it_has_caught_up() -> None:
    made, hour = frames(), 3600 * 1000
    list(made.add(batch(2 * hour, speed(2 * hour, 1.0))))
    times = [hour + PERIOD * step for step in range(3 * HOLE)]
    got = [frame for now in times for frame in made.add(batch(now, speed(now, 2.0)))]
    assert len(got) == 3 * HOLE - HOLE - 2
    assert [frame.fresh for frame in got] == [True] + [False] * (len(got) - 1)
    assert {frame.values[0] for frame in got} == {2.0}


def test_one_signal_with_a_clock_of_its_own_holds_up_nobody() -> None:
    made, hour = frames(), 3600 * 1000
    got = []
    for now in range(2 * hour, 2 * hour + 40 * PERIOD, PERIOD):
        got += made.add(batch(now, speed(now, 1.0)))
        got += made.add(batch(now - hour, Reading("Tool/InCut", True, 0, now - hour, now - hour)))
    assert len(got) == 39
    assert sum(frame.fresh for frame in got) == 1


@given(st.lists(st.integers(1, 3000), max_size=60))
def test_frames_come_at_every_period_in_order_whatever_the_rhythm_of_the_batches(steps: list[int]) -> None:
    made, now, times = frames(), 0, []
    for step in steps:
        now += step
        times += [frame.time_ns for frame in made.add(batch(now, speed(now, 1.0)))]
    assert all(time % PERIOD == 0 for time in times)
    assert times == sorted(set(times))
    assert not times or times[-1] < now


def frame(when: int, **numbers: float) -> Frame:
    values = np.array([numbers.get(name.replace("/", "_"), np.nan) for name in SIGNALS])
    return Frame(when, values, ~np.isnan(values), {})


def feature(signal: str) -> int:
    return next(i for i, f in enumerate(FEATURES) if f.signal == signal)


def test_following_error_is_judged_as_a_delay_and_only_while_the_axis_moves() -> None:
    extract, index = Extractor(), feature("Axes/X/FollowingError")
    for velocity in (600.0, -3000.0):
        values, valid = extract.features(frame(0, Axes_X_FollowingError=velocity / 60.0 * 0.025, Axes_X_ActVelocity=velocity))
        assert valid[index]
        assert abs(values[index] - 25.0) < 1e-9
    _, valid = extract.features(frame(0, Axes_X_FollowingError=0.01, Axes_X_ActVelocity=10.0))
    assert not valid[index]


def test_temperatures_are_judged_by_their_rate_once_nearly_a_minute_is_known() -> None:
    extract, index = Extractor(), feature("Spindle/Temperature")
    for second in range(100):
        values, valid = extract.features(frame(second * 1_000_000_000, Spindle_Temperature=30.0 + second / 60.0))
        assert valid[index] == (second > 54)
    assert abs(values[index] - 1.0) < 1e-6


def test_the_ground_truth_of_the_simulation_is_never_read() -> None:
    assert not [name for name in SIGNALS if name.startswith(("Simulation/", "Analytics/"))]


@given(st.integers(3, 80), st.integers(0, 2**32 - 1))
def test_a_few_odd_rows_do_not_move_what_is_normal(count: int, seed: int) -> None:
    rows = np.random.default_rng(seed).standard_normal((100 + count, len(FEATURES)))
    median, spread = robust(rows)
    rows[: (100 + count) // 25] = 1e9
    wild_median, wild_spread = robust(rows)
    assert np.abs(wild_median - median).max() < 0.5
    assert (wild_spread < 3.0 * np.maximum(spread, FLOORS)).all()


def test_a_spread_of_few_rows_is_wide_however_many_rows_others_have() -> None:
    rows = np.random.default_rng(1).standard_normal((200, len(FEATURES)))
    rows[8:, 0] = np.nan
    _, spread = robust(rows)
    _, of_eight = robust(rows[:8])
    assert spread[0] == of_eight[0]


def test_a_frozen_baseline_follows_slowly_and_not_to_outliers() -> None:
    baseline = Baseline([])
    rng = np.random.default_rng(0)
    for _ in range(300):
        baseline.learn(rng.standard_normal(len(FEATURES)))
    before = baseline.now()[0].copy()
    baseline.learn(np.full(len(FEATURES), 1e6))
    assert np.abs(baseline.now()[0] - before).max() < 0.01 * baseline.now()[1].max()
