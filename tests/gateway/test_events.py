"""Events over MQTT: each has a number, and what the gateway has kept reaches the broker, also over kills and outages."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest
from broker import Listener, running
from fake_link import FakeLink
from gate import opened, until

from cnctwin.link import LinkAlarm
from gateway.mqtt.outbox import Event, Outbox

SITE = "enterprise/site/area/line"
ALARMS = f"{SITE}/CNC-001/alarms"


def event(number: int, machine: str = "M", stream: str = "alarms") -> Event:
    return Event(machine, stream, f"site/{machine}/{stream}", {"n": number})


def bodies(stored: Any) -> list[dict[str, Any]]:
    return [json.loads(one.payload) for one in stored]


def test_every_stream_of_every_machine_is_numbered_without_holes_also_over_a_restart(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "e.sqlite")
    first = bodies(outbox.commit([event(1), event(2), event(3, "N"), event(4, stream="commands")], ()))
    assert [(one["machine"], one["stream"], one["seq"], one["n"]) for one in first] == [
        ("M", "alarms", 1, 1),
        ("M", "alarms", 2, 2),
        ("N", "alarms", 1, 3),
        ("M", "commands", 1, 4),
    ]
    outbox.close()
    again = Outbox(tmp_path / "e.sqlite")
    (more,) = bodies(again.commit([event(5)], ()))
    assert (more["seq"], more["epoch"]) == (3, first[0]["epoch"])
    assert bodies(again.after(0, 100)) == [*first, more]
    again.close()


def test_what_is_acknowledged_goes_and_the_oldest_make_room_and_are_counted(tmp_path: Path) -> None:
    outbox = Outbox(tmp_path / "e.sqlite", rows=10)
    stored = outbox.commit([event(number) for number in range(8)], ())
    outbox.commit([], [stored[0].id, stored[1].id])
    assert (outbox.waiting, outbox.dropped) == (6, 0)
    outbox.commit([event(number) for number in range(8, 15)], ())
    assert (outbox.waiting, outbox.dropped) == (10, 3)
    assert [one["n"] for one in bodies(outbox.after(0, 100))] == list(range(5, 15))
    outbox.close()


def test_a_damaged_file_is_set_aside_and_a_new_epoch_begins(tmp_path: Path) -> None:
    path = tmp_path / "e.sqlite"
    path.write_bytes(b"this is no database" * 100)
    outbox = Outbox(path)
    (one,) = bodies(outbox.commit([event(1)], ()))
    assert (one["seq"], len(one["epoch"])) == (1, 12)
    assert len(list(tmp_path.glob("*-damaged.sqlite"))) == 1
    outbox.close()


def test_a_file_that_goes_or_is_damaged_while_it_is_used_makes_a_new_epoch_behind_the_old_numbers(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "e.sqlite"
    outbox = Outbox(path)
    first = outbox.commit([event(number) for number in range(2000)], ())
    for file in tmp_path.glob("e.sqlite*"):
        file.unlink()
    second = outbox.commit([event(1)], [first[0].id])
    assert second[0].id > first[-1].id
    assert outbox.after(first[-1].id, 10) == second
    assert json.loads(second[0].payload)["epoch"] != json.loads(first[0].payload)["epoch"]
    assert "was taken away" in caplog.text
    third = outbox.commit([event(number) for number in range(2000)], ())
    outbox.close()  # its log is in the file then
    with path.open("r+b") as file_:
        file_.seek(20 * 4096)
        file_.write(bytes(path.stat().st_size - 21 * 4096))
    assert outbox.after(0, 10_000) == []
    fourth = outbox.commit([event(1)], ())
    assert fourth[0].id > third[-1].id
    assert outbox.after(0, 10) == fourth
    assert len(list(tmp_path.glob("*-damaged.sqlite"))) == 1
    outbox.close()


def test_a_disk_that_fails_is_an_error_and_the_next_call_tries_anew(tmp_path: Path) -> None:
    (tmp_path / "store").write_text("a file where the folder should be")
    outbox = Outbox(tmp_path / "store" / "e.sqlite")
    with pytest.raises((OSError, sqlite3.Error)):
        outbox.commit([event(1)], ())
    (tmp_path / "store").unlink()
    assert len(outbox.commit([event(1)], ())) == 1
    outbox.close()


def numbers(messages: list[paho.MQTTMessage]) -> list[int]:
    return [json.loads(message.payload)["seq"] for message in messages]


def test_what_happens_while_the_broker_is_away_arrives_in_order_when_it_is_back(tmp_path: Path) -> None:
    link = FakeLink(period_s=None)
    with running("mosquitto") as broker:
        broker.stop()
        with opened(tmp_path, link, mqtt_broker="127.0.0.1", mqtt_port=broker.port) as gate:
            gate.play(link.moment("CNC-001"))
            until(lambda: gate.http.get("/machines").json()["data"])
            for number in range(300):
                gate.do(lambda n=number: link.raise_alarm(LinkAlarm("CNC-001", n + 1, 500, f"A{n}", "x", True)))
            assert gate.http.post("/machines/CNC-001/commands", json={"command": "pause"}).status_code == 200
            assert gate.http.post("/machines/CNC-001/alerts", json={"severity": "low", "message": "m"}).status_code == 200
            gate.play({"Analytics/Anomalous": True, "Analytics/ZScore": 4.0, "Analytics/AnomalyScore": 4.0})
            broker.start()
            with Listener(broker.port, paho.MQTTv5) as listener:
                until(lambda: len(listener.of(ALARMS)) >= 300, 60)
                assert numbers(listener.of(ALARMS)) == list(range(1, 301))
                assert [json.loads(m.payload)["code"] for m in listener.of(ALARMS)] == [f"A{n}" for n in range(300)]
                until(lambda: len(listener.of(f"{SITE}/CNC-001/commands")) == 2)
                told = [json.loads(message.payload) for message in listener.of(f"{SITE}/CNC-001/commands")]
                assert [(one["method"], one["state"], one["seq"]) for one in told] == [("Hold", "pending", 1), ("Hold", "done", 2)]
                for stream in ("anomalies", "predictions", "alerts"):
                    until(lambda stream=stream: listener.of(f"{SITE}/CNC-001/{stream}"))
                    (first, *_) = listener.of(f"{SITE}/CNC-001/{stream}")
                    assert (json.loads(first.payload)["stream"], first.qos, first.retain) == (stream, 1, False)
            until(lambda: kept(tmp_path) == 0)


def kept(data: Path) -> int:
    with sqlite3.connect(data / "store" / "events.sqlite") as connection:
        count = int(connection.execute("SELECT count(*) FROM event").fetchone()[0])
    connection.close()
    return count


SHOUTING = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from fake_link import FakeLink
from cnctwin.link import LinkAlarm
from cnctwin.program import Status
from cnctwin.secrets import Vault
from cnctwin.settings import Settings
from gateway.api import server
from gateway.program import run
async def main():
    link = FakeLink(period_s=None)
    settings = Settings(data=Path(sys.argv[2]), mqtt_broker="127.0.0.1", mqtt_port=int(sys.argv[3]))
    Vault(settings.data).ensure()
    gateway = asyncio.create_task(run(settings, Status("gateway"), link, server.bind("127.0.0.1", 0)))
    number = int(sys.argv[4])
    while not gateway.done():
        number += 1
        link.raise_alarm(LinkAlarm("CNC-001", number, 500, str(number), "x", True))
        await asyncio.sleep(0.002)
    await gateway
asyncio.run(main())
"""


def test_no_kept_event_is_lost_over_kills_of_the_gateway(tmp_path: Path) -> None:
    """The set that a reader has is the set that was kept: without holes, and without doubles once (epoch, seq) was looked at."""
    with running("mosquitto") as broker:
        with Listener(broker.port, paho.MQTTv5) as listener:
            for wanted in (100, 140, 210):
                command = [sys.executable, "-c", SHOUTING, str(Path(__file__).parent), str(tmp_path), str(broker.port), "0"]
                with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
                    enough = len(listener.of(ALARMS)) + wanted
                    until(lambda enough=enough: len(listener.of(ALARMS)) > enough, 60)
                    os.kill(process.pid, signal.SIGKILL)
            with opened(tmp_path, FakeLink(period_s=None), mqtt_broker="127.0.0.1", mqtt_port=broker.port):
                until(lambda: kept(tmp_path) == 0, 60)
            with sqlite3.connect(tmp_path / "store" / "events.sqlite") as connection:
                (last,) = connection.execute("SELECT seq FROM stream WHERE name = 'alarms'").fetchone()
            connection.close()
            until(lambda: last in numbers(listener.of(ALARMS)))
            heard = [json.loads(message.payload) for message in listener.of(ALARMS)]
            assert len({one["epoch"] for one in heard}) == 1
            assert {one["seq"] for one in heard} == set(range(1, last + 1))
            assert all(len({one["code"] for one in heard if one["seq"] == seq}) == 1 for seq in {1, last // 2, last})
