"""What keeping and reading history costs: tags that all change, ten times a second, through the engine's columns into the database.

    .venv/bin/python benchmarks/history_recording.py [--tags 1000] [--hz 10] [--seconds 120] [--database URL]

Prints the share of one core (this process, all its threads), what was lost on the way, how large it is on disk, and how long the
reads of a trend take. The first minute fills memory, then blocks are cut; so a run should be longer than that.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from asyncua import ua

from opcua_server.engine.subscriptions.columns import Columns
from opcua_server.history import encoding
from opcua_server.history.aggregates import BY_NAME
from opcua_server.history.archive import Archive, Tag
from opcua_server.history.bounds import Configuration
from opcua_server.history.historian import database_of, ticks_now
from opcua_server.history.jobs import ProcessedJob, RawJob
from opcua_server.history.raw import wanted
from opcua_server.history.recorder import Recorder
from opcua_server.history.series import TICKS_PER_S
from opcua_server.history.writer import Limits, Writer


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tags", type=int, default=1000)
    parser.add_argument("--hz", type=float, default=10.0)
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--database", help="address of a PostgreSQL database; SQLite in a temporary folder without")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run(Path(folder), given.tags, given.hz, given.seconds, given.database)


def run(folder: Path, tags: int, hz: float, seconds: float, url: str | None) -> None:
    archive = Archive(database_of(folder, url))
    run_id = f"bench-{ticks_now()}"
    kept = [archive.tag(f"{run_id}/{number}", "Double", is_stepped=False) for number in range(tags)]
    writer = Writer(archive, Limits(), ticks_now)
    writer.open()
    recorder = Recorder(archive, ticks_now)
    column = Columns().add(ua.VariantType.Double, [ua.NodeId(number, 1) for number in range(tags)])
    recorder.follow_column(column, list(enumerate(kept)))
    writer.start()
    random = np.random.default_rng(1)
    values = random.normal(50.0, 10.0, tags)
    process = psutil.Process()
    before, began = process.cpu_times(), time.monotonic()
    began_ticks = ticks_now()
    ticks = late = 0
    longest_s = 0.0
    while (due := ticks / hz) < seconds:
        pause = began + due - time.monotonic()
        if pause > 0:
            time.sleep(pause)
        late += pause < -1 / hz
        values += random.normal(0.0, 0.1, tags)
        at = time.perf_counter()
        now = ticks_now()
        column.write(np.round(values, 4), 0, now, now + 20_000)
        longest_s = max(longest_s, time.perf_counter() - at)
        ticks += 1
    elapsed, after = time.monotonic() - began, process.cpu_times()
    cpu = (after.user + after.system - before.user - before.system) / elapsed
    if not writer.flush(120):
        raise SystemExit(f"not written: {writer.problem}")
    found = count(archive, kept, began_ticks)
    expected = ticks * tags
    print(
        f"{tags} tags at {hz:g} Hz for {elapsed:.0f} s: {100 * cpu:.1f} % of one core, lost={expected - found}, late ticks {late}"
    )
    print(f"longest tick in the loop {1000 * longest_s:.1f} ms; memory {process.memory_info().rss >> 20} MB")
    reader = archive.database.connect(to_write=False)
    size = reader.size_bytes()
    reader.close()
    print(f"on disk {size / found:.1f} bytes a value, {size / 1e6 / elapsed * 86_400 / 1000:.1f} GB a day")
    reads(archive, kept[0], began_ticks, ticks_now())
    recorder.close()
    writer.end()
    archive.close_reader()


def count(archive: Archive, tags: list[Tag], since: int) -> int:
    with archive.view() as view:
        return sum(len(view.read(tag, since, 1 << 62, 1 << 30, False)) for tag in tags)


def reads(archive: Archive, tag: Tag, start: int, end: int) -> None:
    """Time of one page each, best of five, database to encoded answer."""
    jobs: dict[str, Any] = {
        "raw": RawJob(tag, wanted(start, end, bounds=True), 0, None, encoding.BOTH),
        "Average of 1 s": _processed(tag, "Average", start, end, TICKS_PER_S),
        "TimeAverage2 of 1 s": _processed(tag, "TimeAverage2", start, end, TICKS_PER_S),
        "Maximum of all": _processed(tag, "Maximum", start, end, 0),
    }
    for name, job in jobs.items():
        best = float("inf")
        for _ in range(5):
            began = time.perf_counter()
            with archive.view() as view:
                _status, body, _rest = job.page(view, 10_000)
            best = min(best, time.perf_counter() - began)
        values = int.from_bytes(body[9:13], "little")
        print(f"{name}: {values} values in {1000 * best:.1f} ms")


def _processed(tag: Tag, name: str, start: int, end: int, length: int) -> ProcessedJob:
    return ProcessedJob(tag, BY_NAME[name], start, end, length, Configuration(), 0, end, encoding.BOTH)


if __name__ == "__main__":
    main()
