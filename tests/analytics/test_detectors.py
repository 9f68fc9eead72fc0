"""What every detector and every life model in the registries promises, and what single ones do."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics import memory
from analytics.detectors import DETECTORS, Detector, Sample, Score
from analytics.detectors.detector import Threshold
from analytics.features import FEATURES, SIDES, SIGNALS
from analytics.fusion import CLEAR_NS, RAISE_NS, Fusion
from analytics.rul import MODELS
from analytics.rul.spindle import theil_sen
from analytics.rul.tool import ToolModel
from nodesets.catalogue import BY_NAME

N = len(FEATURES)
STEP_NS = 500_000_000
Make = Callable[[int, int], Detector]


def sample(rng: np.random.Generator, when: int, shift: float = 0.0, **numbers: float) -> Sample:
    valid = rng.random(N) > 0.1
    residuals = np.where(valid, rng.standard_normal(N), 0.0)
    noise = np.random.default_rng(when).standard_normal(9)
    used = 0.1 + when / 2500.0
    residuals[0] += shift
    valid[0] = True
    known = {
        "Spindle/ActSpeed": 4000.0,
        "Coolant/IsOn": 1.0,
        "Coolant/Flow": 20.0,
        "Spindle/Temperature": 40.0,
        # Ten times as fast as the rows: what takes a quarter of an hour of the machine takes some hundred rows.
        "Machine/PowerOnDuration": when * 5.0 / 3600.0,
        "Structure/Temperature": 24.0 + 0.02 * noise[0],
        "Coolant/Level": 80.0 - when * 5.0 / 3600.0 + 0.05 * noise[1],
        "Spindle/MotorTemperature": 45.0 + 0.05 * noise[3],
        "Structure/ThermalGrowthZ": 30.0 + 0.25 * noise[4],
        "Environment/Temperature": 22.0 + 0.05 * noise[5],
        "Lubrication/Pressure": 16.0 * np.exp(-(when % 60) / 9.0) + 0.08 * noise[6],
        "Spindle/CmdSpeed": 4000.0,
        "Spindle/VibrationAcceleration": 2.0 * np.exp(0.05 * noise[7]),
        "Spindle/VibrationTooth": 1.5 * np.exp(0.09 * noise[8]),
        "Tool/InCut": 1.0,
        "Tool/Number": 2.0,
        "Tool/CuttingTime": when / 24.0,
        "Tool/WearPercent": 22.0 + 39.0 * (used + used**2) + 1.3 * noise[2],
    }
    return Sample(when * STEP_NS, residuals, valid, True, True, {**known, **numbers})


def run(detector: Detector, count: int, seed: int = 0, start: int = 0, **changes: Any) -> list[Score | None]:
    rng = np.random.default_rng(seed)
    scores = []
    for when in range(start, start + count):
        one = sample(rng, when, **changes)
        scores.append(detector.score_one(one))
        detector.learn_one(one)
        work = detector.training()
        if work is not None:
            detector.adopt(work())
    return scores


@pytest.fixture(params=sorted(DETECTORS))
def make(request: pytest.FixtureRequest) -> Make:
    return DETECTORS[request.param]


def plain(scores: list[Score | None]) -> list[Any]:
    return [None if s is None else (s.value, s.contributions.tolist(), tuple(s.texts), s.sure) for s in scores]


def test_the_result_it_is_shown_at_is_in_the_catalogue(make: Make) -> None:
    assert BY_NAME[make(N, 0).signal].access == "result"


def test_an_alarm_of_limits_alone_lasts_as_any_other_and_then_nothing_is_known_again() -> None:
    """A machine that nothing is known of yet, or of another maker, with a flow and little else: it flickered."""
    fusion, shares = Fusion(), np.zeros(N)

    def fuse(when_s: float, value: float) -> bool | None:
        fused = fusion.fuse(int(when_s * 1e9), {"limits": Score(value, shares, ["Coolant/Flow 0.0 l/min below 2"])})
        return None if fused is None else fused.anomalous

    assert fuse(0.0, 0.3) is None
    assert [fuse(when_s, 2.0) for when_s in (1.0, 2.0, 3.0, 4.0)] == [False, False, False, True]
    cleared_s = 5.0 + CLEAR_NS / 1e9
    assert fuse(5.0, 0.3)
    assert fuse(cleared_s - 1.0, 0.3)
    assert fuse(cleared_s, 0.3) is False
    assert fuse(cleared_s + 1.0, 0.3) is None
    assert fuse(cleared_s + 2.0, 2.0) is False
    assert fuse(cleared_s + 3.0, 0.3) is None
    assert fuse(cleared_s + 9.0, 2.0) is False, "three seconds without a break"


def test_without_what_it_says_it_needs_it_waits_for_ever(make: Make) -> None:
    for group in make(N, 1).needs:
        assert set(group) <= set(SIGNALS)
        detector = make(N, 1)
        if detector.needs_residuals:  # made of features: none of them is there
            assert set(group) == {feature.signal for feature in FEATURES}
            continue
        rng = np.random.default_rng(0)
        for when in range(1500):
            whole = sample(rng, when)
            one = replace(whole, numbers={name: number for name, number in whole.numbers.items() if name not in group})
            assert detector.score_one(one) is None, group
            detector.learn_one(one)


def test_the_same_rows_and_seed_give_the_same_scores(make: Make) -> None:
    assert plain(run(make(N, 5), 400)) == plain(run(make(N, 5), 400))


def test_it_says_that_it_waits_and_then_judges_healthy_rows_as_healthy(make: Make) -> None:
    scores = run(make(N, 1), 1500)
    known = [score for score in scores if score is not None]
    assert known
    assert scores.index(known[0]) in (0, *range(100, 1000))
    assert all(score is not None for score in scores[1000:])
    assert max(score.value for score in known) < 1.0
    assert all(0.0 <= score.value <= 100.0 and score.contributions.shape == (N,) for score in known)


def test_rows_without_any_valid_feature_are_tolerated(make: Make) -> None:
    detector = make(N, 1)
    run(detector, 500)
    nothing = Sample(600 * STEP_NS, np.zeros(N), np.zeros(N, dtype=bool), False, True, {})
    score = detector.score_one(nothing)
    assert score is None or np.isfinite(score.value)
    detector.learn_one(nothing)


def test_it_goes_on_after_a_restart_as_if_nothing_had_been(make: Make) -> None:
    one, two = make(N, 3), make(N, 3)
    run(one, 700)
    two.restore(memory.unpack(memory.pack(one.state())))
    assert plain(run(one, 100, seed=9, start=700)) == plain(run(two, 100, seed=9, start=700))


def test_a_state_of_something_else_is_refused(make: Make) -> None:
    for wrong in ({}, {"mean": 1}, {"since": 3}, {"rows": np.zeros((2, 3)), "seen": 1}, {"edges": {"1": 3}}):
        if wrong and make is DETECTORS["limits"] and "since" not in wrong:
            continue
        with pytest.raises((KeyError, TypeError, ValueError, AttributeError)):
            make(N, 0).restore(wrong)


@pytest.mark.parametrize(("name", "together"), [("zscore", 1), ("forest", 6)])
def test_a_shift_is_found_and_attributed_with_its_sign(name: str, together: int) -> None:
    for shift in (4.0, -4.0):
        detector = DETECTORS[name](N, 1)
        run(detector, 800)
        rng = np.random.default_rng(4)
        for when in range(800, 900):
            one = sample(rng, when)
            one.residuals[:together] += np.where(one.valid[:together], shift, 0.0)
            found = detector.score_one(one)
        assert found is not None
        assert found.value > 1.0
        assert int(np.argmax(np.abs(found.contributions))) < together
        assert np.sign(found.contributions[np.argmax(np.abs(found.contributions))]) == np.sign(shift)


def test_the_first_rows_of_what_is_seen_seldom_weigh_less_and_many_of_them_are_found() -> None:
    detector = DETECTORS["zscore"](N, 1)
    rng = np.random.default_rng(1)
    seldom = next(i for i, feature in enumerate(FEATURES) if feature.kind == "lag")
    scores = {}
    for when in range(960):
        now = sample(rng, when)
        # The axis moves for the first time after five minutes, once in three seconds, and lags by three spreads.
        moves = when >= 600 and when % 6 == 0
        now.valid[seldom], now.residuals[seldom] = moves, 3.0 * moves
        score = detector.score_one(now)
        scores[when] = score.value if score is not None else 0.0
        if scores[when] < 0.7:
            detector.learn_one(now)
    assert max(score for when, score in scores.items() if when < 600 + 6 * 8) < 0.7
    assert scores[959] > 1.0


def test_what_minutes_have_taught_counts_less_against_a_rougher_cut_than_what_an_hour_has() -> None:
    detector = DETECTORS["zscore"](N, 1)
    rng = np.random.default_rng(3)

    def highest(when: int) -> float:
        """Of a cut of twenty seconds whose rows are off by one and a half spreads."""
        cut = deepcopy(detector)
        scores = [cut.score_one(sample(np.random.default_rng(row), when + row, 1.5)) for row in range(40)]
        return max(score.value for score in scores if score is not None)

    found = {}
    for when in range(3601):
        if when in (900, 3600):
            found[when] = highest(when)
        now = sample(rng, when)
        detector.score_one(now)
        detector.learn_one(now)
    assert found[900] < 1.0 < found[3600]


def test_limits_need_their_condition_and_a_moment() -> None:
    detector = DETECTORS["limits"](N, 0)
    rng = np.random.default_rng(0)
    dry = {"Coolant/Flow": 0.0, "Coolant/IsOn": 0.0}
    assert max(s.value for s in [detector.score_one(sample(rng, i, **dry)) for i in range(20)] if s) < 1.0
    broken = {"Coolant/Flow": 0.0}
    values = [s.value for s in [detector.score_one(sample(rng, i, **broken)) for i in range(20, 40)] if s]
    assert max(values[:6]) == 1.0
    assert min(values[7:]) > 1.0
    found = detector.score_one(sample(rng, 41, **broken))
    assert found is not None
    assert found.texts == ["Coolant/Flow 0.0 l/min below 2"]
    # A clock that is set back by an hour in the moment of waiting makes nobody wait for an hour.
    fresh = DETECTORS["limits"](N, 0)
    fresh.score_one(sample(rng, 7200, **broken))
    assert max(s.value for s in [fresh.score_one(sample(rng, i, **broken)) for i in range(20)] if s) > 1.0


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=200), st.floats(-1e9, 1e9), st.floats(-1e9, 1e9))
def test_a_threshold_never_scores_a_higher_level_lower(levels: list[float], one: float, two: float) -> None:
    threshold = Threshold(size=100, need=1, least=0.1)
    for level in levels:
        threshold.learn(level)
    low, high = sorted((one, two))
    assert 0.0 <= threshold.score(low) <= threshold.score(high) <= 100.0


def score(value: float, **changes: Any) -> Score:
    return Score(value, np.zeros(N), **changes)


def test_an_anomaly_is_one_event_however_the_score_shakes() -> None:
    fusion = Fusion()
    rng = np.random.default_rng(0)
    states = []
    for when in range(1200):
        level = 2.0 if 100 <= when < 300 else 0.4
        found = fusion.fuse(when * STEP_NS, {"zscore": score(level + 0.08 * rng.standard_normal())})
        assert found is not None
        states.append(found.anomalous)
    changes = [when for when in range(1, 1200) if states[when] != states[when - 1]]
    assert changes == [100 + RAISE_NS // STEP_NS, changes[1]]
    assert changes[1] >= 300 + CLEAR_NS // STEP_NS


def test_a_mean_that_stands_while_nothing_speaks_for_it_raises_no_alarm_and_loses_nothing_either() -> None:
    fusion = Fusion()
    when = 0

    def rows(count: int, *, supported: bool) -> bool:
        nonlocal when
        found = None
        for _ in range(count):
            found = fusion.fuse(when * STEP_NS, {"zscore": score(1.2, supported=supported)})
            when += 1
        assert found is not None
        return found.anomalous

    needed = RAISE_NS // STEP_NS
    assert rows(needed // 2, supported=True) is False
    assert rows(10 * needed, supported=False) is False, "the tool is changed"
    assert rows(needed, supported=True) is True, "the next cut goes on where the one before ended"


@pytest.mark.parametrize("hole_s", [7200, -7200, 600], ids=["set forth", "set back", "away"])
def test_time_that_nobody_watched_neither_ends_an_anomaly_nor_makes_one(hole_s: int) -> None:
    """Of a server that is away, and of a clock that is set, before and after which one row each is quiet, or loud."""
    hole = hole_s * 1_000_000_000 // STEP_NS
    loud = Fusion()
    loud.fuse(0, {"zscore": score(1.2)})
    found = loud.fuse(hole * STEP_NS, {"zscore": score(1.2)}, fresh=True)
    assert found is not None
    assert found.anomalous is False, "two rows are no three seconds"
    for when in range(20):
        loud.fuse((hole + 1 + when) * STEP_NS, {"zscore": score(1.2)})
    assert loud.anomalous
    for when in range(20, 40):
        loud.fuse((hole + 1 + when) * STEP_NS, {"zscore": score(0.2)})
    again = Fusion()
    again.restore(loud.state())
    quiet_s = 20 * STEP_NS / 1e9
    for fusion in (loud, again):
        begin = 2 * hole + 41
        found = fusion.fuse(begin * STEP_NS, {"zscore": score(0.2)}, fresh=True)
        assert found is not None
        assert found.anomalous is True, "four minutes of quiet have not been seen"
        rows = 0
        while fusion.anomalous:
            rows += 1
            fusion.fuse((begin + rows) * STEP_NS, {"zscore": score(0.2)})
        # What was quiet before counts with what is quiet now.
        assert (quiet_s + rows * STEP_NS / 1e9) * 1e9 == pytest.approx(CLEAR_NS, abs=2 * STEP_NS)


def test_a_limit_that_is_broken_before_a_hole_and_after_it_must_hold_anew() -> None:
    rng = np.random.default_rng(0)
    detector = DETECTORS["limits"](N, 0)
    for when, fresh in ((0, True), (7200, True)):
        found = detector.score_one(replace(sample(rng, when, **{"Spindle/Temperature": 75.0}), fresh=fresh))
        assert found is not None
        assert found.value == 1.0


def test_a_score_is_supported_by_rows_that_are_off_themselves() -> None:
    detector = DETECTORS["zscore"](N, 0)
    rng = np.random.default_rng(3)
    feature = next(i for i, side in enumerate(SIDES) if side >= 0.0)

    def row(off: float, *, settled: bool = True) -> Score | None:
        residuals = 0.3 * rng.standard_normal(N)
        residuals[feature] = off
        sample = Sample(0, residuals, np.ones(N, dtype=bool), True, settled, {})
        found = detector.score_one(sample)
        if settled and off < 1.0:
            detector.learn_one(sample)
        return found

    for _ in range(2000):
        row(0.3 * rng.standard_normal())
    for _ in range(40):
        found = row(6.0)
    assert found is not None
    assert (found.value > 1.0, found.supported) == (True, True)
    for off, settled in ((6.0, False), (0.0, True), (-6.0, True)):
        found = row(off, settled=settled)
        assert found is not None
        assert found.supported is False


def test_limits_alone_do_not_call_a_machine_healthy() -> None:
    assert Fusion().fuse(0, {"limits": score(0.4)}) is None
    broken = Fusion().fuse(0, {"limits": score(1.4)})
    assert broken is not None
    assert broken.score == 1.4


def test_who_looks_at_a_few_signals_calls_no_machine_healthy_for_sure() -> None:
    """Drift and wear judge where z-score and forest still wait: of what those two look at nothing is known then."""
    for more in ({}, {"zscore": score(0.2)}, {"zscore": score(0.2), "forest": score(0.2)}):
        found = Fusion().fuse(0, {"limits": score(0.4), "drift": score(0.1), "wear": score(0.0), **more})
        assert found is not None
        assert found.sure is bool(more)
    found = Fusion().fuse(0, {"limits": score(0.4), "wear": score(1.5)})
    assert found is not None
    assert found.sure, "whoever alarms knows what of"


def test_the_forest_alone_cannot_raise_an_alarm() -> None:
    found = Fusion().fuse(0, {"zscore": score(0.2), "forest": score(1.5)})
    assert found is not None
    assert found.score == pytest.approx(0.85)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_a_life_model_waits_tolerates_everything_and_survives_a_restart(name: str) -> None:
    one, two = MODELS[name](), MODELS[name]()
    assert set(one.estimate().results.values()) == {None}
    assert all(BY_NAME[signal].access == "result" for signal in one.estimate().results)
    one.update(0, {}, fresh=True)
    assert set(one.estimate().results.values()) == {None}
    rng = np.random.default_rng(1)
    for when in range(600):
        numbers = {
            "Spindle/ActSpeed": 5000.0,
            "Spindle/CmdSpeed": 5000.0,
            "Spindle/Temperature": 35.0,
            "Spindle/VibrationVelocity": 0.5 + 0.02 * rng.standard_normal(),
            "Spindle/VibrationBearing": 0.05,
            "Tool/Number": 2.0,
            "Tool/InCut": float(when % 20 < 10),
            "Tool/CuttingSpeed": 180.0,
            "Tool/CuttingTime": when / 120.0,
            "Tool/WearPercent": float(when // 60),
        }
        one.update(when * STEP_NS, numbers, fresh=when == 0)
    found = one.estimate()
    assert None not in found.results.values()
    two.restore(memory.unpack(memory.pack(one.state())))
    two.update(600 * STEP_NS, numbers, fresh=True)
    one.update(600 * STEP_NS, numbers, fresh=True)
    assert two.estimate() == one.estimate()
    with pytest.raises((KeyError, TypeError, ValueError)):
        MODELS[name]().restore({})


def wear(model: ToolModel, rate: float, minutes: float, *, start_ns: int = 0, tool: float = 3.0) -> int:
    """A tool in cut all the time; wear measured every two minutes. Returns the time at the end."""
    steps = int(minutes * 12)
    for step in range(steps + 1):
        t = step / 12.0
        numbers = {
            "Tool/Number": tool,
            "Tool/InCut": 1.0,
            "Tool/CuttingSpeed": 180.0,
            "Tool/CuttingTime": t,
            "Tool/WearPercent": rate * (t // 2 * 2),
        }
        model.update(start_ns + step * 5_000_000_000, numbers, fresh=False)
    return start_ns + (steps + 1) * 5_000_000_000


def test_a_tools_own_wear_outweighs_the_handbook_and_narrows_the_interval() -> None:
    model = ToolModel()
    wear(model, 2.0, 4.0)
    early = model.estimate().results
    model = ToolModel()
    wear(model, 2.0, 36.0)
    late = model.estimate().results
    assert late["Analytics/ToolRul"] == pytest.approx(100 / 2.0 - 36.0, rel=0.35)

    def width(found: Any) -> float:
        return float(found["Analytics/ToolRulHigh"] / found["Analytics/ToolRulLow"])

    assert width(late) < width(early) / 2
    assert late["Analytics/ToolRulLow"] < late["Analytics/ToolRul"] < late["Analytics/ToolRulHigh"]


def test_edges_that_ended_teach_what_the_next_one_will_last() -> None:
    model = ToolModel()
    now = 0
    for _ in range(4):
        now = wear(model, 2.0, 49.0, start_ns=now)
    wear(model, 2.0, 1.0, start_ns=now)
    found = model.estimate().results
    assert found["Analytics/ToolRul"] == pytest.approx(49.0, rel=0.1)
    assert found["Analytics/ToolRulHigh"] / found["Analytics/ToolRulLow"] < 4.0


def test_a_tool_is_changed_by_how_much_of_the_time_it_is_in_cut_itself() -> None:
    """Tool 3 cuts in one minute of four, tool 5 in the other three: what remains of 3 lasts four times as long by the clock."""
    model, now, cut = ToolModel(), 0, {3: 0.0, 5: 0.0}

    def seen(tool: int) -> dict[str, float]:
        return {
            "Tool/Number": float(tool), "Tool/InCut": 1.0, "Tool/CuttingSpeed": 180.0, "Tool/CuttingTime": cut[tool],
            "Tool/WearPercent": 0.0,
        }  # fmt: skip

    def minutes(tool: int, count: int) -> None:
        nonlocal now
        for _ in range(count * 12):
            now += 5_000_000_000
            cut[tool] += 1.0 / 12.0
            model.update(now, seen(tool), fresh=False)

    minutes(5, 1)
    assert model.estimate().results["Analytics/NextToolChange"] is None, "a minute says nothing of an hour"
    minutes(5, 2)
    for _ in range(12):
        minutes(3, 1)
        minutes(5, 3)
    minutes(3, 1)
    restored = ToolModel()
    restored.restore(memory.unpack(memory.pack(model.state())))
    for one in (model, restored):
        one.update(now, seen(3), fresh=True)
        found = one.estimate()
        change = found.results["Analytics/NextToolChange"]
        assert isinstance(change, datetime)
        ahead = change.timestamp() / 60.0 - now / 60e9
        assert ahead / found.results["Analytics/ToolRul"] == pytest.approx(4.0, rel=0.1)
        assert found.plan["cutting_share"] == pytest.approx(0.25, rel=0.1)


def test_faster_wear_shortens_the_life_that_is_promised() -> None:
    lives = []
    for rate in (0.5, 1.0, 2.0, 4.0):
        model = ToolModel()
        wear(model, rate, 12.0)
        lives.append(model.estimate().results["Analytics/ToolRul"])
    assert lives == sorted(lives, reverse=True)


@settings(max_examples=50)
@given(st.floats(-100, 100), st.lists(st.floats(-5, 5), min_size=12, max_size=30))
def test_the_trend_of_a_line_is_its_slope_whatever_three_points_say(slope: float, start: list[float]) -> None:
    x = list(range(len(start)))
    y = [slope * one for one in x]
    y[0], y[5], y[-1] = 1e4, -1e4, 1e4
    assert theil_sen(x, y) == pytest.approx(slope, abs=1e-6)
