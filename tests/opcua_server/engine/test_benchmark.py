"""``cnctwin bench opcua``: one measurement through real processes, and what is made of measurements."""

from __future__ import annotations

import asyncio
import io
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import psutil
import pytest
from asyncua import ua
from rich.console import Console

from benchmarks.opcua import encryption
from benchmarks.opcua.awake import awake, one_core
from benchmarks.opcua.chart import chart
from benchmarks.opcua.listening import read_notification
from benchmarks.opcua.report import Results, show
from benchmarks.opcua.rounds import Rounds
from benchmarks.opcua.scenarios import SCENARIOS
from benchmarks.opcua.servers import Failed
from benchmarks.startup import Start, medians, per_further_machine, wait_ready
from cnctwin.wire import encode


def test_our_server_is_measured_encrypted_and_its_answers_are_checked(tmp_path: Path) -> None:
    scenarios = [one for one in SCENARIOS if one.name == "Write 60, 8 at once, encrypted"]
    results = Results(["cnctwin"], [one.name for one in scenarios])
    Rounds(results, scenarios, 0.2, tmp_path, None, variables=1).run(1, lambda: None)
    assert results.failed == {}
    (found,) = results.found["Write 60, 8 at once, encrypted", "cnctwin"]
    assert found["cpu_us"] > 0
    assert found["rate"] > 0


def test_every_message_is_answered_in_clear_encrypted_and_with_a_library_that_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encryption, "SESSIONS", 2)
    found = asyncio.run(encryption.measured(rounds=1, times=20))
    assert list(found) == [encryption.TOLD, *(name for name, *_ in encryption.ROWS)]
    assert {kind for kinds in found.values() for kind, used in kinds.items() if used > 0} == set(encryption.KINDS)


@pytest.mark.skipif(sys.platform != "linux", reason="processes of the idle class are Linux's")
def test_cores_are_kept_awake_by_processes_that_take_no_time_from_others() -> None:
    me = psutil.Process()
    before = set(me.children())
    with awake():
        spinning = set(me.children()) - before
        assert {os.sched_getscheduler(one.pid) for one in spinning} == {os.SCHED_IDLE}
        assert len(spinning) == len(os.sched_getaffinity(0))
    assert set(me.children()) <= before


@pytest.mark.skipif(sys.platform != "linux", reason="which core a process is on is said to Linux")
def test_programs_that_are_started_meanwhile_share_one_core() -> None:
    before = os.sched_getaffinity(0)
    with one_core():
        told = subprocess.run(
            [sys.executable, "-S", "-c", "import os; print(len(os.sched_getaffinity(0)))"], capture_output=True, check=True
        )
        assert told.stdout.split() == [b"1"]
    assert os.sched_getaffinity(0) == before


def test_a_session_of_the_bench_may_watch_all_its_variables(tmp_path: Path) -> None:
    scenarios = [one for one in SCENARIOS if one.name == "6,000 variables, 1 session"]
    results = Results(["cnctwin"], [one.name for one in scenarios])
    Rounds(results, scenarios, 0.2, tmp_path, None).run(1, lambda: None)
    assert results.failed == {}
    (found,) = results.found["6,000 variables, 1 session", "cnctwin"]
    assert found["rate"] > 0


def test_measurements_come_back_from_json_as_the_same_tables_and_drawing() -> None:
    names = [one.name for one in SCENARIOS]
    results = Results(["cnctwin", "asyncua"], names)
    for number, name in enumerate(names, 1):
        for core in (0.01 * number, 0.02 * number):
            results.add(name, "cnctwin", {"cpu_us": 2.0 * number, "rate": 10.0, "core": core, "client_core": 0.1})
    results.add("Read 1", "asyncua", {"cpu_us": 1_000.0, "rate": 1.0, "core": 1.0, "client_core": 0.1})
    results.failed["Call", "asyncua"] = "did not answer"
    again = Results.of(json.loads(json.dumps(results.plain())))
    shown = []
    for one in (results, again):
        output = io.StringIO()
        show(Console(file=output, width=150), one, list(SCENARIOS))
        shown.append(output.getvalue())
    assert shown[0] == shown[1]
    assert "Call, asyncua: not measured, did not answer" in shown[0]
    ratio = 1_000.0 / (2.0 * (names.index("Read 1") + 1))
    assert f"{ratio:.1f}" in shown[0]
    assert chart(results) == chart(again)
    assert chart(results).count("<circle") == sum(one.action == "subscribe" and not one.encrypted for one in SCENARIOS) + 1


@pytest.mark.parametrize("fraction", [None, 7])
def test_notifications_are_read_whatever_form_each_has(fraction: int | None) -> None:
    moment = ua.uatypes.win_epoch_to_datetime(134_000_000_000_000_000)
    value = ua.DataValue(ua.Variant(5.0, ua.VariantType.Double), ua.StatusCode(0), moment)
    other = ua.DataValue(ua.Variant(6.0, ua.VariantType.Double), ua.StatusCode(0), moment, SourcePicoseconds=fraction)
    told = [ua.MonitoredItemNotification(2, value), ua.MonitoredItemNotification(3, other)]
    handles, ticks, source = read_notification(encode(ua.DataChangeNotification(told, [])))
    assert handles.tolist() == [2, 3]
    assert np.array_equal(ticks, [3.0, 3.0])
    assert source == 134_000_000_000_000_000


def test_what_a_further_machine_costs_is_what_the_others_add_to_one() -> None:
    starts = [Start(1, True, 9.0, 9.0, 900.0, 900.0)]
    for slower in (0.0, 0.5, 0.1):
        starts += [Start(1, False, 2.0 + slower, 1.5, 150.0, 151.0), Start(11, False, 3.0 + slower, 2.5, 250.0, 271.0)]
    assert per_further_machine(starts, 11) == pytest.approx({"ready_s": 0.1, "cpu_s": 0.1, "ready_mb": 10.0, "settled_mb": 12.0})
    assert medians(starts, 1, is_first=True)["ready_s"] == 9.0


def test_what_a_further_machine_costs_is_seen_while_the_computer_becomes_slower() -> None:
    starts = []
    for slower in (0.0, 1.0, 4.0):
        starts += [Start(2, False, 2.1 + slower, 1.6, 155.0, 156.0), Start(1, False, 2.0 + slower, 1.5, 150.0, 151.0)]
    starts.append(Start(1, True, 9.0, 9.0, 900.0, 900.0))
    assert per_further_machine(starts, 2)["ready_s"] == pytest.approx(0.1)


def test_a_server_that_cannot_start_is_no_measurement() -> None:
    for said, reason in (('{"state": "failed", "reason": "port"}\n', "port"), ("", "ended")):
        hears, says = os.pipe()
        os.write(says, b'{"tasks": 3}\n' + said.encode())
        os.close(says)
        with pytest.raises(Failed, match=reason):
            wait_ready(hears)
        os.close(hears)


def test_a_server_is_ready_when_it_says_so() -> None:
    hears, says = os.pipe()
    os.write(says, b'{"tasks": 3}\n{"program": "server", "state": "rea')
    os.write(says, b'dy", "facts": {}}\n')
    wait_ready(hears)
    os.close(says)
    os.close(hears)
