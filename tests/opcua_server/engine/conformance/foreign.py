"""node-opcua's client, in a process that is started once: requests in, answers out."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("node_opcua.js")


class NodeOpcua:
    """``session``: "" is anonymous, else the name of a role, with a tail behind a dot where several are wanted."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self._answers: queue.Queue[dict[str, Any]] = queue.Queue()
        self._early: dict[int, dict[str, Any]] = {}
        self._number = 0
        self.listener = threading.Thread(target=self._listen)
        self.listener.start()

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with contextlib.suppress(ValueError):  # node-opcua says this and that beside
                self._answers.put(json.loads(line))
        self._answers.put({"id": -1, "fault": "it has ended"})

    def send(self, service: str, body: Any, session: str = "") -> int:
        """The number of a request, whose answer may be taken later."""
        self._number += 1
        assert self._process.stdin is not None
        line = json.dumps({"id": self._number, "session": session, "service": service, "body": body})
        self._process.stdin.write(line + "\n")
        self._process.stdin.flush()
        return self._number

    def _take(self, number: int) -> dict[str, Any]:
        while number not in self._early:
            answer = self._answers.get(timeout=60)
            assert answer["id"] >= 0, answer
            self._early[answer["id"]] = answer
        return self._early.pop(number)

    def answer(self, number: int) -> Any:
        """The body of an answer; a refused service is its status."""
        answer = self._take(number)
        return answer["fault"] if "fault" in answer else answer["body"]

    def ask(self, service: str, session: str = "", **body: Any) -> Any:
        return self.answer(self.send(service, body, session))


@contextlib.contextmanager
def node_opcua(url: str, modules: Path, folder: Path) -> Iterator[NodeOpcua]:
    process = subprocess.Popen(
        ["node", str(PROGRAM), url, str(folder / "pki")],
        env={**os.environ, "NODE_PATH": str(modules), "HOME": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    started = NodeOpcua(process)
    try:
        started.answer(0)
        yield started
    finally:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.close()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        started.listener.join(20)
        process.stdout.close()
