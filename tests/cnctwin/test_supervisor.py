"""The supervisor with small programs of the tests' own: it restarts what dies, ends what it started, and says what happened."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Coroutine
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from cnctwin import broker
from cnctwin.errors import ConfigurationError, ProgramError, StartError
from cnctwin.secrets import Vault
from cnctwin.settings import load
from cnctwin.supervisor import Child, Command, Supervisor
from tests.harness import wait_for

SPEAKS = "import json, os; tell = lambda **m: os.write(int(os.environ['CNCTWIN_STATUS_FD']), json.dumps(m).encode() + b'\\n')\n"


def command(name: str, code: str) -> Command:
    return Command(name, (sys.executable, "-c", SPEAKS + textwrap.dedent(code)))


STAYS = "tell(state='ready'); import sys; sys.stdin.read()"


class Watched:
    """A supervisor in a running loop, with what it told."""

    def __init__(self, tmp_path: Path, *commands: Command) -> None:
        self.told: list[tuple[str, str]] = []
        self.supervisor = Supervisor(commands, tmp_path / "logs", self._changed)

    def _changed(self, child: Child) -> None:
        self.told.append((child.name, child.state))

    def child(self, name: str) -> Child:
        return next(child for child in self.supervisor.children if child.name == name)

    async def until(self, condition: Callable[[], bool], what: str) -> None:
        async def poll() -> None:
            while not condition():
                await asyncio.sleep(0.01)

        try:
            await asyncio.wait_for(poll(), 20)
        except TimeoutError:
            pytest.fail(f"{what}; told: {self.told}")

    def run(self, story: Callable[[], Coroutine[Any, Any, None]]) -> None:
        async def whole() -> None:
            work = asyncio.create_task(self.supervisor.run())
            try:
                await story()
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

        asyncio.run(whole())


def test_a_killed_program_is_restarted_and_the_others_go_on(tmp_path: Path) -> None:
    watched = Watched(tmp_path, command("one", STAYS), command("two", STAYS))
    one, two = watched.child("one"), watched.child("two")

    async def story() -> None:
        await watched.until(lambda: one.is_up and two.is_up, "both up")
        first, other = one.pid, two.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)
        await watched.until(lambda: one.restarts == 1 and one.is_up, "restarted")
        assert one.pid != first
        assert two.pid == other
        assert two.restarts == 0

    watched.run(story)


def test_what_it_started_is_gone_when_it_ends_even_what_ignores_sigterm(tmp_path: Path) -> None:
    stubborn = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); tell(state='ready')\nwhile True: signal.pause()"
    watched = Watched(tmp_path, command("calm", STAYS), command("stubborn", stubborn))
    pids: list[int] = []

    async def story() -> None:
        children = watched.supervisor.children
        await watched.until(lambda: all(child.is_up for child in children), "up")
        pids.extend(child.pid for child in children if child.pid)

    watched.run(story)
    assert len(pids) == 2
    assert not any(psutil.pid_exists(pid) for pid in pids)


@pytest.mark.parametrize(("code", "kind"), [(2, ConfigurationError), (3, StartError)])
def test_a_cause_that_no_restart_can_mend_ends_everything_with_its_reason(tmp_path: Path, code: int, kind: type) -> None:
    hopeless = command("hopeless", f"tell(state='failed', reason='port 1 is taken', exit_code={code}); raise SystemExit({code})")
    watched = Watched(tmp_path, command("other", STAYS), hopeless)
    with pytest.raises(kind, match="port 1 is taken"):
        asyncio.run(watched.supervisor.run())
    assert watched.child("other").pid is None


def test_a_program_that_never_gets_ready_is_given_up_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnctwin.supervisor.BACKOFF_S", (0.01, 0.01))
    watched = Watched(tmp_path, command("broken", "import sys; sys.exit('the reason')"))
    with pytest.raises(ProgramError, match="the reason"):
        asyncio.run(watched.supervisor.run())
    assert "the reason" in (tmp_path / "logs" / "broken.log").read_text()


def test_a_program_that_cannot_start_is_mended_by_its_last_words(tmp_path: Path) -> None:
    stone = tmp_path / "stone"
    stone.write_text("")

    def mend(words: str) -> str:
        if "stone in the way" not in words:
            return ""
        stone.unlink()
        return "the stone is gone"

    code = f"import os; assert not os.path.exists({str(stone)!r}), 'a stone in the way'\n"
    watched = Watched(tmp_path, replace(command("a", code + STAYS), mend=mend))

    async def story() -> None:
        await watched.until(lambda: watched.child("a").is_up, "up")
        assert watched.child("a").restarts == 1

    watched.run(story)


def test_a_silent_program_hangs_and_is_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnctwin.supervisor.SILENCE_S", 0.5)
    watched = Watched(tmp_path, command("sleepy", "tell(state='ready'); import threading; threading.Event().wait()"))

    async def story() -> None:
        await watched.until(lambda: watched.child("sleepy").restarts >= 1, "restarted")
        assert ("sleepy", "hanging") in watched.told

    watched.run(story)


def test_a_full_disk_takes_log_lines_and_nothing_else(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """/dev/full refuses every write, as a full disk does."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "one.log").symlink_to("/dev/full")
    watched = Watched(tmp_path, command("one", "print('a line', flush=True); " + STAYS))

    async def story() -> None:
        await watched.until(lambda: watched.child("one").is_up and bool(watched.child("one").last_words), "up")

    watched.run(story)
    assert watched.child("one").pid is None
    assert "Traceback" not in capfd.readouterr().err


def test_a_degraded_program_is_up_and_says_why(tmp_path: Path) -> None:
    watched = Watched(
        tmp_path, command("one", "tell(state='degraded', reason='no broker', facts={'a': 1}); import sys; sys.stdin.read()")
    )
    one = watched.child("one")

    async def story() -> None:
        await watched.until(lambda: one.is_up, "up")
        assert (one.state, one.reason, one.facts) == ("degraded", "no broker", {"a": 1})

    watched.run(story)


def test_garbage_on_the_status_pipe_changes_nothing(tmp_path: Path) -> None:
    garbage = "os.write(int(os.environ['CNCTWIN_STATUS_FD']), b'\\xff\\x00 not json\\n[]\\n\"x\"\\n{\"tasks\": null}\\n'); " + STAYS
    watched = Watched(tmp_path, command("one", garbage))

    async def story() -> None:
        await watched.until(lambda: watched.child("one").is_up, "up")

    watched.run(story)


def test_what_programs_say_writes_nothing_else_on_the_terminal_and_in_the_log(tmp_path: Path) -> None:
    """The words of a server that is watched, or of a broker's client, are in it."""
    says = "print('client \\x1b[2J\\tgone', flush=True); tell(state='degraded', reason='value \\x1b]0;x\\x07\\n'); "
    watched = Watched(tmp_path, command("one", says + "import sys; sys.stdin.read()"))
    one, log = watched.child("one"), tmp_path / "logs" / "one.log"

    async def story() -> None:
        await watched.until(lambda: one.is_up and log.exists() and bool(log.read_text()), "up")
        assert one.reason == "value \\x1b]0;x\\x07\\n"
        assert log.read_text().rstrip("\n") == "client \\x1b[2J     gone"

    watched.run(story)


def test_a_reason_that_ends_everything_is_one_line_too(tmp_path: Path) -> None:
    hopeless = command("hopeless", "tell(state='failed', reason='x\\x1b[2J', exit_code=3); raise SystemExit(3)")
    with pytest.raises(StartError) as ended:
        asyncio.run(Watched(tmp_path, hopeless).supervisor.run())
    assert str(ended.value) == "x\\x1b[2J"


def test_a_program_gets_no_variable_that_is_kept_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CNCTWIN_HISTORY_URL", "postgresql://user:hunter2@host/name")
    monkeypatch.setenv("TZ", "UTC")
    asks = "print(*(os.environ.get(name) for name in ('CNCTWIN_HISTORY_URL', 'TZ')), flush=True); " + STAYS
    embedded = broker.command(load({"data": tmp_path, "mqtt_port": 21101})) if Vault(tmp_path).ensure() else None
    if embedded is None:
        pytest.fail("no broker")
    watched = Watched(tmp_path, replace(command("one", asks), kept_back=embedded.kept_back))
    log = tmp_path / "logs" / "one.log"

    async def story() -> None:
        await watched.until(lambda: log.exists() and bool(log.read_text()), "said")
        assert log.read_text() == "None UTC\n"

    watched.run(story)


def group_of(pid: int) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        with contextlib.suppress(ProcessLookupError):
            if os.getpgid(one.pid) == pid:
                found.append(one)
    return found


@pytest.mark.parametrize(
    ("code", "is_deaf"),
    [
        ("import sys; print('up', flush=True); sys.stdin.read()", False),
        ("import time; print('up', flush=True); time.sleep(600)", True),
    ],
)
def test_no_orphan_stays_when_the_supervisor_is_killed(tmp_path: Path, code: str, is_deaf: bool) -> None:
    script = f"""
import asyncio, sys
from pathlib import Path
from cnctwin.supervisor import Command, Supervisor
command = Command('one', (sys.executable, '-c', {code!r}), ready=lambda: True, is_deaf={is_deaf})
changed = lambda child: print(child.pid, flush=True) if child.state == 'ready' else None
asyncio.run(Supervisor([command], Path({str(tmp_path)!r}), changed).run())
"""
    process = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    child = int(process.stdout.readline())
    group = group_of(child)
    assert child in [one.pid for one in group]
    process.kill()
    process.wait()
    process.stdout.close()
    wait_for(lambda: all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in group), "the orphan ends")


def test_a_deaf_program_keeps_its_number_and_ends_with_its_own_code(tmp_path: Path) -> None:
    """It is told by signals, and what keeps watch beside it goes with it."""
    deaf = Command(
        "one", (sys.executable, "-c", "import os; print(os.getpid(), flush=True); os._exit(3)"), is_deaf=True, ready=lambda: False
    )
    watched = Watched(tmp_path, deaf)

    async def story() -> None:
        await watched.until(lambda: watched.child("one").restarts > 0, "it ends")
        assert "ended with code 3" in watched.child("one").reason

    watched.run(story)
    pid = int((tmp_path / "logs" / "one.log").read_text().split()[0])
    wait_for(lambda: not group_of(pid), "nothing of it is left")
