"""What grows over an hour: drift of slow signals, and wear that is faster than before. Pure rows, a minute of the machine each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics import memory
from analytics.detectors import Sample, Score
from analytics.detectors.drift import DriftDetector
from analytics.detectors.wear import WearDetector, used_of
from analytics.features import FEATURES

N = len(FEATURES)
NONE = np.zeros(N)
STEPS_PER_H = 360


def row(step: int, **numbers: float) -> Sample:
    named = {name.replace("__", "/"): value for name, value in numbers.items()}
    clock = {"Machine/PowerOnDuration": 50.0 + step / STEPS_PER_H}
    return Sample(step * 10_000_000_000, NONE, NONE > 0, False, True, {**clock, **named})


def drift(
    hours: float, course: Callable[[float], dict[str, float]], detector: DriftDetector, start_h: float = 0.0
) -> list[Score | None]:
    rng, scores = np.random.default_rng(1), []
    for step in range(int(start_h * STEPS_PER_H), int((start_h + hours) * STEPS_PER_H)):
        values = {name: value + 0.02 * rng.standard_normal() for name, value in course(step / STEPS_PER_H).items()}
        one = row(step, **values)
        score = detector.score_one(one)
        scores.append(score)
        if score is None or score.value < 1.0:
            detector.learn_one(one)
    return scores


def day(hours: float) -> dict[str, float]:
    """A shop floor that warms over the day and a tank from which parts carry a little away."""
    return {"Structure__Temperature": 23.0 + 1.2 * float(np.sin(hours / 4.0)), "Coolant__Level": 80.0 - 0.6 * hours}


def heated(begins_h: float) -> Callable[[float], dict[str, float]]:
    return lambda hours: (
        day(hours) | {"Structure__Temperature": day(hours)["Structure__Temperature"] + 1.7 * max(hours - begins_h, 0.0)}
    )


def leaking(begins_h: float) -> Callable[[float], dict[str, float]]:
    return lambda hours: day(hours) | {"Coolant__Level": day(hours)["Coolant__Level"] - 10.0 * max(hours - begins_h, 0.0)}


def test_a_days_course_is_no_drift_and_waits_a_quarter_of_an_hour_for_its_first_score() -> None:
    scores = drift(12.0, day, DriftDetector(N))
    waits = scores.index(next(score for score in scores if score is not None))
    assert 0.15 < waits / STEPS_PER_H < 0.3
    known = [score for score in scores if score is not None]
    assert max(score.value for score in known) < 0.8
    assert not known[0].sure
    assert known[-1].sure


@pytest.mark.parametrize(
    ("course", "said"),
    [(heated(2.0), "Structure/Temperature rises"), (leaking(2.0), "Coolant/Level falls")],
)
def test_a_heat_source_and_a_leak_are_found_within_half_an_hour_and_stay_found(course: Any, said: str) -> None:
    detector = DriftDetector(N)
    scores = drift(5.0, course, detector)
    assert max(score.value for score in scores[: 2 * STEPS_PER_H] if score) < 1.0
    found = [score for score in scores[int(2.5 * STEPS_PER_H) :] if score]
    assert min(score.value for score in found) > 1.0
    assert found[0].texts[0].startswith(said)
    sign = "+" if "rises" in said else "-"
    assert f"({sign}" in found[0].texts[0]


def test_a_tank_that_is_filled_up_or_a_structure_that_cools_is_no_harm() -> None:
    def filled(hours: float) -> dict[str, float]:
        return {"Structure__Temperature": 25.0 - 2.0 * max(hours - 1.0, 0.0), "Coolant__Level": 40.0 + 50.0 * (hours > 1.0)}

    assert max(score.value for score in drift(3.0, filled, DriftDetector(N)) if score) < 1.0


def test_a_machine_that_was_away_begins_a_new_course() -> None:
    detector = DriftDetector(N)
    drift(1.0, day, detector)
    after = drift(0.1, lambda hours: {"Structure__Temperature": 30.0}, detector, start_h=9.0)
    assert all(score is None or score.value < 1.0 for score in after)


@given(st.floats(0.0, 200.0), st.floats(0.0, 200.0))
def test_more_wear_is_never_less_of_the_life(one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert used_of(low)[0] <= used_of(high)[0]
    assert 0.0 < used_of(low)[1] < 0.2


def worn(used: float) -> float:
    """A flank of another shape than the detector thinks: breaks in to a quarter of the criterion, and ends less steeply."""
    return 100.0 * (0.25 * (1.0 - np.exp(-used / 0.03)) + 0.75 * (0.6 * used + 0.4 * used**2))


def cutting(hours: float, rate: Callable[[float], float], seed: int = 1, detector: WearDetector | None = None) -> list[float]:
    """Four tools in turn, each in cut for two minutes and measured after it; ``rate``: times their usual wear at an hour."""
    detector = detector or WearDetector(N)
    rng = np.random.default_rng(seed)
    lives = 60.0 * np.exp(0.25 * rng.standard_normal(4))
    used, minutes, wear, scores = np.zeros(4), np.zeros(4), np.zeros(4), []
    for step in range(int(hours * STEPS_PER_H)):
        tool = step // 12 % 4
        used[tool] += 1.0 / 6.0 / lives[tool] * rate(step / STEPS_PER_H)
        minutes[tool] += 1.0 / 6.0
        if step % 12 == 11:
            wear[tool] = max(worn(float(used[tool])) + 1.33 * rng.standard_normal(), 0.1)
        score = detector.score_one(
            row(step, Tool__Number=tool + 1.0, Tool__CuttingTime=minutes[tool], Tool__WearPercent=wear[tool])
        )
        scores.append(0.0 if score is None else score.value)
    return scores


@pytest.mark.parametrize("seed", range(6))
def test_edges_of_any_life_wear_as_they_have_worn_without_an_alarm(seed: int) -> None:
    assert max(cutting(3.0, lambda _: 1.0, seed)) < 1.0


@pytest.mark.parametrize("seed", range(6))
def test_wear_that_doubles_is_found_within_three_quarters_of_an_hour_and_let_go_when_it_ends(seed: int) -> None:
    detector = WearDetector(N)
    scores = cutting(4.0, lambda hours: 2.2 if 1.0 < hours < 2.0 else 1.0, seed, detector)
    assert max(scores[:STEPS_PER_H]) < 1.0
    assert max(scores[STEPS_PER_H : int(1.75 * STEPS_PER_H)]) > 1.0
    assert scores[-1] < 1.0


def test_the_tool_and_how_much_faster_are_named() -> None:
    detector = WearDetector(N)
    cutting(1.9, lambda hours: 2.5 if hours > 1.0 else 1.0, 1, detector)
    again = WearDetector(N)
    again.restore(memory.unpack(memory.pack(detector.state())))
    for one in (detector, again):
        found = one.score_one(row(9999))
        assert found is not None
        assert found.value > 1.0
        assert found.texts[0].startswith("Tool/WearPercent grows ")
        assert "times as fast as before, most at tool " in found.texts[0]
