"""The predictors are monotone and finite over everything a request may hold."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnctwin import predictors as p

wear = st.floats(0, 100)
minutes = st.floats(0, 1e6)
speed = st.floats(0, 1e5)
vibration = st.floats(0, 1e3)
heat = st.floats(-50, 500)
slope = st.floats(-1e3, 1e3)
CLOSE = 1 + 1e-9


@given(wear, wear, minutes, speed)
def test_more_wear_never_lengthens_a_tools_life(one: float, two: float, runtime: float, vc: float) -> None:
    low, high = sorted((one, two))
    assert p.tool_rul(high, runtime, vc)[0] <= p.tool_rul(low, runtime, vc)[0] * CLOSE
    assert p.tool_rul(high, runtime, vc)[1] >= p.tool_rul(low, runtime, vc)[1]


@given(wear, minutes, minutes, speed)
def test_the_same_wear_after_a_longer_time_promises_more(worn: float, one: float, two: float, vc: float) -> None:
    low, high = sorted((one, two))
    assert p.tool_rul(worn, low, vc)[0] <= p.tool_rul(worn, high, vc)[0] * CLOSE


@given(wear, minutes, speed, speed)
def test_a_faster_cut_never_lengthens_a_tools_life(worn: float, runtime: float, one: float, two: float) -> None:
    low, high = sorted((one, two))
    assert p.tool_rul(worn, runtime, high)[0] <= p.tool_rul(worn, runtime, low)[0] * CLOSE


@given(st.floats(0, 1e9), st.floats(0, 1e300), st.floats(0, 1e300))
def test_tool_life_is_finite_and_confidence_a_share(worn: float, runtime: float, vc: float) -> None:
    remaining, confidence = p.tool_rul(worn, runtime, vc)
    assert 0 <= remaining <= p.MAX_MINUTES
    assert 0 < confidence < 1


def test_a_worn_out_tool_has_nothing_left_and_a_steady_one_what_its_own_rate_says() -> None:
    assert p.tool_rul(100, 50, 150)[0] == 0
    # At 180 m/min Taylor gives 228 min; a tool that needed 114 min for half its wear confirms it.
    assert p.tool_rul(50, 114.4, 180)[0] == pytest.approx(114.4, rel=0.01)


@given(vibration, vibration, heat, heat, slope, slope)
def test_more_vibration_heat_or_growth_never_improves_a_spindle(
    v1: float, v2: float, t1: float, t2: float, s1: float, s2: float
) -> None:
    (va, vb), (ta, tb), (sa, sb) = sorted((v1, v2)), sorted((t1, t2)), sorted((s1, s2))
    good, bad = p.spindle_health(va, ta, sa), p.spindle_health(vb, tb, sb)
    assert bad[0] <= good[0] + 1e-9
    assert bad[1] <= good[1] + 1e-9


@given(st.floats(0, 1e300), st.floats(-1e300, 1e300), st.floats(-1e300, 1e300))
def test_spindle_health_and_days_stay_in_their_ranges(v: float, t: float, s: float) -> None:
    health, days = p.spindle_health(v, t, s)
    assert 0 <= health <= 100
    assert 0 <= days <= p.SERVICE_INTERVAL_DAYS


def test_growing_vibration_brings_the_service_to_where_it_meets_the_zone_limit() -> None:
    _, days = p.spindle_health(1.0, 30.0, 0.05)
    assert days == pytest.approx((4.5 - 1.0) / 0.05, rel=0.01)
    assert p.spindle_health(0.5, 30.0, 0.0) == (100.0, 365.0)


def test_the_schedule_puts_the_most_urgent_first_and_leaves_out_what_is_unknown() -> None:
    records = p.maintenance_schedule(0, tool_minutes=120.0, tool_number=4, cutting_share=0.5, health=70.0, spindle_days=30.0)
    assert [(r["component"], r["urgency"]) for r in records] == [("tool 4", "high"), ("spindle", "low")]
    assert records[0]["estimated_time"] == "1970-01-01T04:00:00.000000Z"
    assert records[1]["action"] == "inspect bearings"
    assert p.maintenance_schedule(0) == []


def document(**fields: float) -> dict[str, Any]:
    whole: dict[str, Any] = {"machine_id": "M"}
    for name, value in fields.items():
        group, field = name.split("__")
        whole.setdefault(group, {})[field] = value
    return whole


@pytest.mark.parametrize(
    ("given", "rules"),
    [
        (document(spindle__temperature_c=70.0), []),
        (document(spindle__temperature_c=70.1), ["spindle_temperature"]),
        (document(tool__wear_percent=81.0), ["tool_wear"]),
        (document(spindle__vibration_mm_s=5.1), ["spindle_vibration"]),
        (document(coolant__flow_rate_lpm=0.0, spindle__rpm=500.0), []),
        (document(coolant__flow_rate_lpm=0.0), []),
        (document(coolant__flow_rate_lpm=1.9, spindle__rpm=501.0), ["coolant_flow"]),
        (document(spindle__temperature_c=math.nan), []),
        ({"spindle": "broken"}, []),
        ({"data": {"spindle": {"temperature_c": 90}}}, ["spindle_temperature"]),
    ],
)
def test_limits_are_broken_beyond_them_only(given: dict[str, Any], rules: list[str]) -> None:
    found = p.limit_rules(given)
    assert [anomaly["rule"] for anomaly in found] == rules
    assert all(anomaly["score"] > 1 for anomaly in found)


@given(st.sampled_from(p.LIMITS), st.floats(0, 1e6))
def test_a_score_above_one_means_broken(limit: p.Limit, value: float) -> None:
    assert (limit.score(value) > 1) == limit.broken(value) or value == pytest.approx(limit.limit)


def test_a_step_out_of_thirty_steady_values_is_found_and_the_start_is_not_judged() -> None:
    quiet = [document(power__total_kw=3.0 + 0.01 * (i % 5)) for i in range(40)]
    assert not any(p.rolling_z(quiet))
    found = p.rolling_z([*quiet, document(power__total_kw=4.0)])
    assert [anomaly["metric"] for anomaly in found[-1]] == ["power.total_kw"]
    assert p.rolling_z([document(power__total_kw=v) for v in (1.0, 100.0)]) == [[], []]
