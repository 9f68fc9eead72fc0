"""The twin, as pure code: property tests of its rules, and the telemetry document's table."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cnctwin.reading import BAD_SENSOR_FAILURE, GOOD, UNCERTAIN_LAST_USABLE, UNCERTAIN_NO_COMMUNICATION, Batch, Reading
from gateway.twin import Recent, Twin, document
from gateway.twin.results import Results, severity
from gateway.twin.telemetry import FIELDS, document_of_values
from nodesets import catalogue

SECOND = 1_000_000_000
UNCERTAIN_SENSOR_NOT_ACCURATE = 0x40930000
NAMES = st.sampled_from([row.name for row in catalogue.MACHINE if row.type == "Double"])
READINGS = st.builds(
    lambda name, value, status, time: Reading(name, value, status, time, time),
    NAMES,
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([GOOD, UNCERTAIN_NO_COMMUNICATION]),
    st.integers(1, 4).map(lambda n: n * SECOND),
)
BATCHES = st.lists(
    st.builds(
        lambda machine, readings: Batch(machine, max(r.source_time_ns for r in readings), tuple(readings)),
        st.sampled_from(["A", "B"]),
        st.lists(READINGS, min_size=1, max_size=5),
    ),
    max_size=20,
)


def reading(name: str, value, time_ns: int = SECOND, status: int = GOOD) -> Reading:
    return Reading(name, value, status, time_ns, time_ns)


def whole(time_ns: int = SECOND) -> dict[str, Reading]:
    values = {row.name: 0.0 for row in catalogue.SIGNALS if row.type == "Double"}
    texts = {"Tool/Type": "drill", "Channel/ActProgramName": "p.nc", "Channel/ActProgramLine": "7"}
    return {
        name: reading(name, value, time_ns)
        for name, value in {**values, **texts, "Tool/Number": 3, "Channel/ChannelMode": 0}.items()
    }


@given(BATCHES)
def test_of_every_signal_the_newest_reading_is_shown(batches: list[Batch]) -> None:
    twin = Twin(0)
    for batch in batches:
        twin.apply(batch)
    for machine_id in {batch.machine_id for batch in batches}:
        shown = twin.machines[machine_id].readings
        arrived = [r for batch in batches if batch.machine_id == machine_id for r in batch]
        for name in {r.signal for r in arrived}:
            assert shown[name].source_time_ns == max(r.source_time_ns for r in arrived if r.signal == name)


@given(BATCHES, st.integers(0, 25))
def test_updates_since_a_number_lead_from_there_to_the_present(batches: list[Batch], stop: int) -> None:
    twin = Twin(100)
    past: dict = {}
    mark = twin.seq
    for number, batch in enumerate(batches):
        if number == stop:
            past, mark = {name: dict(m.readings) for name, m in twin.machines.items()}, twin.seq
        twin.apply(batch)
    if stop >= len(batches):
        past, mark = {name: dict(m.readings) for name, m in twin.machines.items()}, twin.seq
    updates = twin.since(mark)
    assert updates is not None
    for update in updates:
        past.setdefault(update.machine_id, {}).update((r.signal, r) for r in update.readings)
    assert past == {name: machine.readings for name, machine in twin.machines.items()}


def test_a_number_that_is_no_longer_in_the_log_needs_a_snapshot() -> None:
    twin = Twin(0, log_length=2)
    for n in range(1, 5):
        twin.apply(Batch("A", n, (reading("Spindle/ActSpeed", float(n), n),)))
    assert twin.since(1) is None
    assert twin.since(99) is None
    assert [update.seq for update in twin.since(2) or ()] == [3, 4]


@given(BATCHES)
def test_lost_link_keeps_value_and_source_time_but_marks_them_uncertain(batches: list[Batch]) -> None:
    twin = Twin(0)
    for batch in batches:
        twin.apply(batch)
    for machine_id, machine in twin.machines.items():
        before = dict(machine.readings)
        twin.degrade(machine_id)
        for name, old in before.items():
            new = machine.readings[name]
            assert (new.value, new.source_time_ns) == (old.value, old.source_time_ns)
            assert new.quality == "Uncertain"
        assert machine.quality == "Uncertain"
        assert twin.degrade(machine_id) is None


def test_a_bad_reading_stays_bad_when_the_link_is_lost() -> None:
    twin = Twin(0)
    twin.apply(Batch("A", 1, (reading("Spindle/Temperature", None, 1, BAD_SENSOR_FAILURE), reading("Spindle/ActSpeed", 1.0, 1))))
    twin.degrade("A")
    assert twin.machines["A"].readings["Spindle/Temperature"].status == BAD_SENSOR_FAILURE


def test_disorder_of_a_moment_is_ignored_but_a_clock_set_back_is_followed() -> None:
    twin = Twin(0)
    twin.apply(Batch("A", 1, (reading("Spindle/ActSpeed", 1.0, 3600 * SECOND),)))
    twin.apply(Batch("A", 1, (reading("Spindle/ActSpeed", 2.0, 3599 * SECOND),)))
    assert twin.machines["A"].readings["Spindle/ActSpeed"].value == 1.0
    twin.apply(Batch("A", 1, (reading("Spindle/ActSpeed", 3.0, 10 * SECOND),)))
    assert twin.machines["A"].readings["Spindle/ActSpeed"].value == 3.0
    assert twin.machines["A"].telemetry_time_ns == 10 * SECOND


def test_results_of_the_analytics_do_not_move_the_time_of_the_telemetry() -> None:
    twin = Twin(0)
    twin.apply(Batch("A", 5, (reading("Spindle/ActSpeed", 1.0, 5),)))
    update = twin.apply(Batch("A", 9, (reading("Analytics/AnomalyScore", 0.1, 9),)))
    assert twin.machines["A"].telemetry_time_ns == 5
    assert update.document is None


def test_every_field_shows_a_signal_of_the_catalogue() -> None:
    assert {signal for _, signal, _ in FIELDS} <= set(catalogue.BY_NAME)


@given(st.floats(allow_nan=False))
def test_numbers_are_clipped_to_what_clients_were_promised(value: float) -> None:
    readings = whole() | {row.name: reading(row.name, value) for row in catalogue.SIGNALS if row.type == "Double"}
    data = document("A", 1, readings).data
    for field, high in (("rpm", 24000), ("load_percent", 100), ("temperature_c", 120), ("vibration_mm_s", 20)):
        assert 0 <= data["spindle"][field] <= high
        if 0 <= value <= high:
            assert data["spindle"][field] == value
    assert 0 <= data["tool"]["wear_percent"] <= 100
    assert data["axes"]["x"]["position_mm"] == value


def test_a_bad_signal_is_null_and_the_rest_stays() -> None:
    readings = whole() | {"Spindle/Temperature": reading("Spindle/Temperature", None, status=BAD_SENSOR_FAILURE)}
    told = document("A", 1, readings)
    assert told.data["spindle"]["temperature_c"] is None
    assert told.data["spindle"]["rpm"] == 0.0
    assert (told.quality, told.is_current) == ("Bad", True)


def test_a_lost_link_keeps_the_values_but_the_document_is_not_current() -> None:
    readings = {name: item.degraded(UNCERTAIN_NO_COMMUNICATION) for name, item in whole().items()}
    readings["Spindle/ActSpeed"] = reading("Spindle/ActSpeed", 5.0, status=UNCERTAIN_NO_COMMUNICATION)
    readings["Spindle/Temperature"] = reading("Spindle/Temperature", None, status=BAD_SENSOR_FAILURE)
    told = document("A", 1, readings)
    assert told.data["spindle"]["rpm"] == 5.0
    assert (told.quality, told.is_current) == ("Bad", False)


@pytest.mark.parametrize(
    ("status", "shown"),
    [(UNCERTAIN_NO_COMMUNICATION, None), (UNCERTAIN_LAST_USABLE, None), (UNCERTAIN_SENSOR_NOT_ACCURATE, 5.0)],
)
def test_one_sensor_that_is_uncertain_for_ever_does_not_end_the_telemetry_of_its_machine(status: int, shown: float | None) -> None:
    told = document("A", 1, whole() | {"Spindle/ActSpeed": reading("Spindle/ActSpeed", 5.0, status=status)})
    assert told.data["spindle"]["rpm"] == shown
    assert told.data["coolant"]["flow_rate_lpm"] == 0.0
    assert (told.quality, told.is_current) == ("Uncertain", True)


@pytest.mark.parametrize(("mode", "shown"), [(0, "AUTO"), (1, "MDI"), (2, "JOG"), (3, "JOG"), (4, "JOG"), (6, "REF")])
def test_modes_are_those_of_old(mode: int, shown: str) -> None:
    assert document("A", 1, whole() | {"Channel/ChannelMode": reading("Channel/ChannelMode", mode)}).data["status"]["mode"] == shown


def test_a_spindle_without_tool_shows_none() -> None:
    tool = document("A", 1, whole() | {"Tool/Number": reading("Tool/Number", 0), "Tool/Type": reading("Tool/Type", "none")}).data[
        "tool"
    ]
    assert (tool["id"], tool["type"]) == ("T00", None)


def test_a_document_of_stored_values_is_the_document_of_their_readings() -> None:
    readings = whole()
    assert document_of_values("A", SECOND, {name: r.value for name, r in readings.items()}) == document("A", SECOND, readings)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers()), max_size=1000))
def test_recent_documents_are_the_last_200_of_each_machine(sent: list[tuple[str, int]]) -> None:
    recent = Recent()
    for machine_id, number in sent:
        recent.add(machine_id, {"n": number})
    for machine_id in "abc":
        numbers = [number for to, number in sent if to == machine_id]
        assert [d["n"] for d in recent.history(machine_id)] == numbers[-200:]
        assert recent.latest(machine_id) == ({"n": numbers[-1]} if numbers else None)


@given(st.lists(st.sampled_from([True, False]), max_size=30))
def test_an_anomaly_is_recorded_once_when_it_begins(course: list[bool]) -> None:
    twin, results = Twin(0), Results()
    records = []
    for number, value in enumerate(course, 1):
        update = twin.apply(Batch("A", number, (reading("Analytics/Anomalous", value, number),)))
        records += results.judge(update, twin.machines["A"].readings)
    begins = sum(now and not before for before, now in zip([False, *course], course, strict=False))
    assert [record.kind for record in records] == ["anomaly"] * begins


@pytest.mark.parametrize(("later_s", "detector", "value"), [(2, "zscore", 1.6), (20, "rule", 0.4)])
def test_an_anomaly_is_of_the_score_that_raised_it_though_it_has_fallen(later_s: int, detector: str, value: float) -> None:
    twin, results = Twin(0), Results()

    def judged(when_s: int, **values: float | bool) -> list:
        readings = tuple(reading(f"Analytics/{name}", value, when_s * SECOND) for name, value in values.items())
        return results.judge(twin.apply(Batch("A", when_s * SECOND, readings)), twin.machines["A"].readings)

    assert judged(1, ZScore=1.6, RuleScore=0.3, AnomalyScore=1.6, Anomalous=False) == []
    (record,) = judged(1 + later_s, ZScore=0.2, RuleScore=0.4, AnomalyScore=0.4, Anomalous=True)
    assert (record.body["detector"], record.body["value"]) == (detector, value)


def test_a_detector_that_warms_up_has_predicted_nothing() -> None:
    twin, results = Twin(0), Results()
    update = twin.apply(Batch("A", 1, (reading("Analytics/ToolRul", None, 1, 0x80320000),)))
    assert results.judge(update, twin.machines["A"].readings) == []


@given(st.floats(0, 100), st.floats(0, 100))
def test_a_higher_score_is_never_less_severe(a: float, b: float) -> None:
    order = ("low", "medium", "high")
    low, high = sorted((a, b))
    assert order.index(severity(low)) <= order.index(severity(high))
    assert math.isfinite(low)
