"""One machine's analytics from end to end, on a made-up mill: no server, no clock."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics import memory
from analytics.fusion import CLEAR_NS
from analytics.hours import USUAL_ROW_S, MachineHours
from analytics.watcher import UNCERTAIN_SUB_NORMAL, Watcher
from cnctwin.reading import BAD_SENSOR_FAILURE, BAD_WAITING_FOR_INITIAL_DATA, UNCERTAIN_NO_COMMUNICATION, Batch
from nodesets.catalogue import RESULTS

LEARNED = 1200


def feed(watcher: Watcher, batches: Iterable[Batch]) -> list[float]:
    """Scores of the rows that have one."""
    scores = []
    for batch in batches:
        for pending in watcher.add(batch):
            pending.done(pending.run())
        if watcher.fused is not None:
            scores.append(watcher.fused.score)
    return scores


def by_name(watcher: Watcher) -> dict[str, Any]:
    return {item.signal: item for item in watcher.results()}


def test_every_result_is_given_and_waits_before_anything_is_known(mill: Any) -> None:
    watcher = Watcher("M", 1)
    assert watcher.results() == []
    feed(watcher, mill.batches(20))
    found = by_name(watcher)
    assert set(found) == {row.name for row in RESULTS}
    for name in ("AnomalyScore", "ZScore", "ForestScore", "Anomalous", "Explanation", "SpindleHealth"):
        item = found[f"Analytics/{name}"]
        assert (item.value, item.status) == (None, BAD_WAITING_FOR_INITIAL_DATA)


def test_a_healthy_machine_stays_below_the_threshold(mill: Any) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    scores = feed(watcher, mill.batches(3000))
    assert max(scores) < 1.0
    found = by_name(watcher)
    # A quarter of an hour on, the course of slow signals is known but not yet what is usual of it.
    assert found.pop("Analytics/DriftScore").status == UNCERTAIN_SUB_NORMAL
    for name in ("WearScore", "LubricationScore", "SensorScore"):
        assert found.pop(f"Analytics/{name}").status == BAD_WAITING_FOR_INITIAL_DATA
    assert all(item.status == 0 for item in found.values()), [item for item in found.values() if item.status]
    assert found["Analytics/Anomalous"].value is False
    assert found["Analytics/Explanation"].value == ""
    assert found["Analytics/SpindleHealth"].value > 90


@pytest.mark.parametrize(
    ("signal", "factor", "said"),
    [
        ("Spindle/VibrationBearing", 8.0, "Spindle/VibrationBearing high"),
        ("Coolant/Flow", 0.6, "Coolant/Flow low"),
        ("Axes/X/FollowingError", 1.4, "Axes/X/FollowingError against velocity high"),
        ("Axes/Y/ActLoad", 2.5, "Axes/Y/ActLoad high"),
        ("Spindle/Temperature", 2.1, "Spindle/Temperature 73.5 °C above 70"),
    ],
)
def test_a_change_is_found_named_with_its_sign_and_let_go_when_it_ends(mill: Any, signal: str, factor: float, said: str) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    mill.factor[signal] = factor
    feed(watcher, mill.batches(240))
    found = by_name(watcher)
    assert found["Analytics/Anomalous"].value is True
    assert found["Analytics/AnomalyScore"].value > 1
    assert said.split()[0] in found["Analytics/Explanation"].value
    assert said.split(" ")[-1] in found["Analytics/Explanation"].value
    mill.factor.clear()
    feed(watcher, mill.batches(600 + CLEAR_NS // 500_000_000))
    assert by_name(watcher)["Analytics/Anomalous"].value is False


def test_a_damaged_bearing_costs_health_and_brings_the_service_nearer(mill: Any) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    before = by_name(watcher)
    mill.factor["Spindle/VibrationBearing"] = 8.0
    feed(watcher, mill.batches(1200))
    after = by_name(watcher)
    assert after["Analytics/SpindleHealth"].value < 60 < before["Analytics/SpindleHealth"].value
    assert after["Analytics/SpindleDaysLeft"].value < before["Analytics/SpindleDaysLeft"].value
    assert watcher.maintenance()[0]["component"] in ("spindle", "tool 2")


def test_the_same_rows_give_the_same_results(new_mill: Any) -> None:
    runs = []
    for _ in range(2):
        watcher = Watcher("M", 7)
        scores = feed(watcher, new_mill(seed=3).batches(LEARNED))
        runs.append((scores, watcher.results()))
    assert runs[0] == runs[1]
    assert runs[0][0]


def test_what_was_learned_survives_a_restart(new_mill: Any, tmp_path: Path) -> None:
    mill, watcher = new_mill(), Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    path = memory.path_of(tmp_path, "M")
    memory.save(path, memory.pack(watcher.state()))
    again = Watcher("M", 1)
    state = memory.load(path)
    assert state is not None
    assert again.restore(state) == []
    more = list(mill.batches(60))
    feed(watcher, more)
    scores = feed(again, more)
    assert len(scores) > 50
    ours, theirs = by_name(again), by_name(watcher)
    for name in ("ZScore", "ForestScore", "SpindleHealth", "ToolRul"):
        one, two = ours[f"Analytics/{name}"].value, theirs[f"Analytics/{name}"].value
        # The features keep a minute of history of their own, which a restart begins anew.
        assert one == pytest.approx(two, abs=0.3, rel=0.1), name


def test_a_machine_that_is_away_leaves_its_results_uncertain_and_in_place(mill: Any) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    before = by_name(watcher)
    (last,) = mill.batches(1)
    lost = Batch("M", last.source_time_ns, tuple(item.degraded() for item in last.readings))
    feed(watcher, [lost])
    after = by_name(watcher)
    assert all(item.status in (UNCERTAIN_NO_COMMUNICATION, BAD_WAITING_FOR_INITIAL_DATA) for item in after.values())
    assert after["Analytics/SpindleHealth"].value == pytest.approx(before["Analytics/SpindleHealth"].value, abs=1)


def test_a_counter_of_hours_that_fails_for_a_while_costs_nothing_of_what_was_seen(mill: Any) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(2400))
    edges = watcher.state()["detectors"]["wear"]["edges"]
    assert len(edges["2"]["points"]) > 3
    mill.status = {"Machine/PowerOnDuration": BAD_SENSOR_FAILURE}
    for count in (240, 240):
        feed(watcher, mill.batches(count))
        mill.status = {}
        state = watcher.state()["detectors"]
        assert state["wear"]["edges"]["2"]["points"][0] == edges["2"]["points"][0]
        assert state["drift"]["Structure/Temperature"]["slope"] is not None
        hours = [point[0] for point in state["wear"]["edges"]["2"]["points"]]
        assert max(hours) - min(hours) < 1.0, "no measurement lies in another age"


def test_a_counter_of_whole_hours_stands_in_the_way_of_nobody(new_mill: Any) -> None:
    """As a map of a foreign server may name one."""

    class Whole(new_mill):  # type: ignore[misc]
        def values(self) -> dict[str, float | str]:
            found: dict[str, float | str] = super().values()
            return found | {"Machine/PowerOnDuration": float(found["Machine/PowerOnDuration"]) // 1.0}

    watcher = Watcher("M", 1)
    feed(watcher, Whole().batches(2400))
    assert by_name(watcher)["Analytics/DriftScore"].value is not None


@pytest.mark.parametrize("hole_rows", [1200, 7200, -7200], ids=["away for ten minutes", "clock set forth", "clock set back"])
def test_an_anomaly_does_not_end_while_nobody_watches(mill: Any, hole_rows: int) -> None:
    """A fault that shows in cuts only was quiet for a few seconds before the server went away, and is so when it comes back."""
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    mill.factor["Coolant/Flow"] = 0.6
    feed(watcher, mill.batches(240))
    mill.factor.clear()
    feed(watcher, mill.batches(120))
    assert watcher.fused is not None
    assert watcher.fused.anomalous
    assert watcher.fused.score < 0.7
    mill.step += hole_rows
    feed(watcher, mill.batches(60))
    assert watcher.fused.anomalous
    assert "Coolant/Flow low" in watcher.fused.explanation
    feed(watcher, mill.batches(CLEAR_NS // 500_000_000))
    assert not watcher.fused.anomalous


def test_sensors_that_fail_are_not_judged_and_nothing_else_suffers(mill: Any) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))
    mill.status = dict.fromkeys(("Coolant/Flow", "Spindle/VibrationBearing"), BAD_SENSOR_FAILURE)
    scores = feed(watcher, mill.batches(300))
    assert max(scores) < 1.0
    mill.status = {}
    assert max(feed(watcher, mill.batches(300))) < 1.0


def test_a_server_with_a_handful_of_signals_is_watched_with_those(new_mill: Any) -> None:
    few = frozenset(new_mill().values()) - {"Spindle/ActLoad", "Spindle/VibrationVelocity", "Power/Total", "Tool/Number"}
    mill, watcher = new_mill(missing=few), Watcher("M", 1)
    scores = feed(watcher, mill.batches(LEARNED))
    assert scores
    assert max(scores) < 1.0
    mill.factor["Power/Total"] = 3.0
    feed(watcher, mill.batches(200))
    found = by_name(watcher)
    assert found["Analytics/Anomalous"].value is True
    assert "Power/Total" in found["Analytics/Explanation"].value
    assert found["Analytics/ToolRul"].status == BAD_WAITING_FOR_INITIAL_DATA


def test_a_new_program_is_judged_with_reserve_until_it_is_known(mill: Any) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, mill.batches(LEARNED))

    def renamed(batch: Batch) -> Batch:
        from dataclasses import replace

        readings = tuple(replace(r, value="O2") if r.signal == "Channel/ActMainProgramName" else r for r in batch.readings)
        return replace(batch, readings=readings)

    feed(watcher, (renamed(batch) for batch in mill.batches(20)))
    score = by_name(watcher)["Analytics/ZScore"]
    assert score.status == UNCERTAIN_SUB_NORMAL
    feed(watcher, (renamed(batch) for batch in mill.batches(400)))
    assert by_name(watcher)["Analytics/ZScore"].status == 0


def test_a_file_that_cannot_be_read_is_set_aside_with_one_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = memory.path_of(tmp_path, "CNC-001")
    assert memory.load(path) is None
    memory.save(path, memory.pack({"a": np.arange(3), "b": [1, {"c": None}]}))
    state = memory.load(path)
    assert state is not None
    assert state["a"].tolist() == [0, 1, 2]
    assert state["b"] == [1, {"c": None}]
    path.write_bytes(path.read_bytes()[:60])
    assert memory.load(path) is None
    assert path.with_name(path.name + ".corrupt").exists()
    assert len(caplog.records) == 1
    assert memory.load(path) is None


def test_numbers_that_came_out_of_arrays_are_saved_as_numbers() -> None:
    state = {"score": np.float64(1.5), "unusual": np.bool_(True), "counts": [np.int64(3), np.float32(0.25)], "rows": np.arange(3.0)}
    found = memory.unpack(memory.pack(state))
    assert np.array_equal(found.pop("rows"), [0.0, 1.0, 2.0])
    assert found == {"score": 1.5, "unusual": True, "counts": [3, 0.25]}
    assert found["unusual"] is True


def test_a_copy_that_was_saved_is_gone_without_the_collector() -> None:
    """Once a minute of each machine, megabytes each; the collector has little reason to come, as arrays do not count for it."""
    rows = np.arange(3.0)
    state = {"rows": rows, "more": [{"deep": rows}]}
    gc.collect()
    gc.disable()
    try:
        found = memory.unpack(memory.pack(state))
        left = [weakref.ref(rows), weakref.ref(found["rows"]), weakref.ref(found["more"][0]["deep"])]
        assert left[1]() is not None
        del state, rows, found
        assert all(one() is None for one in left)
    finally:
        gc.enable()


def test_machine_ids_make_safe_and_different_file_names(tmp_path: Path) -> None:
    names = {memory.path_of(tmp_path, name) for name in ("A", "../A", "A/../B", "..", "A B", "A_B")}
    assert len(names) == 6
    assert all(path.parent == tmp_path and path.resolve().parent == tmp_path.resolve() for path in names)


def faster(batches: Iterable[Batch], speed: int) -> Iterable[Batch]:
    """The same machine as a simulation at this speed shows it: two rows a second of the source time, further apart in its own."""
    for index, batch in enumerate(batches):
        if index % speed == 0:
            at_ns = batch.source_time_ns - index * 500_000_000 + index // speed * 500_000_000
            readings = tuple(replace(item, source_time_ns=at_ns, server_time_ns=at_ns) for item in batch.readings)
            yield replace(batch, source_time_ns=at_ns, readings=readings)


@pytest.mark.parametrize("speed", [1, 3])
def test_moves_of_a_few_seconds_are_learned_and_judged_at_any_speed(mill: Any, speed: int) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, faster(mill.batches(LEARNED * speed), speed))
    moves, sure = 0, 0
    for batch in faster(mill.batches(30 * speed), speed):
        feed(watcher, [batch])
        moves += not watcher._situation.motion.count("c1")
        sure += watcher.fused.sure and not watcher._situation.motion.count("c1")
    assert 9 <= moves == sure


@pytest.mark.parametrize("speed", [1, 3])
def test_a_spindle_is_known_after_as_much_of_the_machines_time_at_any_speed(mill: Any, speed: int) -> None:
    watcher = Watcher("M", 1)
    feed(watcher, faster(mill.batches(480), speed))
    assert by_name(watcher)["Analytics/SpindleHealth"].value == pytest.approx(100.0)


def test_who_counts_rows_says_how_far_it_is_until_it_judges(mill: Any) -> None:
    watcher = Watcher("M", 1)
    assert watcher.waits_for() == {
        "zscore": "0 of 120 settled rows of situations that are known",
        "forest": "0 of 240 settled rows of situations that are known",
        "spindle life": "0 of 60 rows at one speed with one tool, out of cut",
    }
    feed(watcher, mill.batches(2))
    for batch in mill.batches(LEARNED):
        before = watcher.waits_for()
        feed(watcher, [batch])
        found = by_name(watcher)
        assert ("zscore" in before) == (found["Analytics/ZScore"].value is None)
        assert ("spindle life" in watcher.waits_for()) == (found["Analytics/SpindleHealth"].value is None)
    assert watcher.waits_for() == {}


def test_a_counter_that_leaps_once_a_minute_has_no_pace() -> None:
    hours, found = MachineHours(), []
    for row in range(600):
        hours.at(row * 500_000_000, 10.01 + row // 120 / 60.0)
        found.append(hours.row_s(row * 500_000_000, fresh=row == 0))
    assert set(found) == {USUAL_ROW_S}
