"""Conditions on disk: written soon after each change, read at the start.

    a change --> within half a second --> <data>/alarms/<machine>.json, whole or not at all

A file that cannot be used is set aside with one warning (``run.checkpoints``), and the machine starts with no alarms of before.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Final

from opcua_server.alarms.machine import MachineAlarms
from opcua_server.run.checkpoints import Checkpoints

LOOK_EVERY_S: Final = 0.5
_logger = logging.getLogger(__name__)


class Keeper:
    """``problem``: why the last writing failed, empty when it did not."""

    def __init__(self, checkpoints: Checkpoints) -> None:
        self.problem = ""
        self._checkpoints = checkpoints
        self._machines: dict[str, MachineAlarms] = {}

    def restore(self, machines: Mapping[str, MachineAlarms]) -> None:
        """Let all go on from what is on disk, and keep them from now on."""
        self._machines = dict(machines)
        for machine_id, alarms in self._machines.items():
            state = self._checkpoints.read(machine_id)
            if state is None:
                continue
            try:
                alarms.restore(state)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self._checkpoints.set_aside(machine_id, f"{type(error).__name__}: {error}")

    async def keep(self) -> None:
        """Write what has changed, for ever, without holding up the loop."""
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            for machine_id, alarms in self._machines.items():
                if alarms.changed:
                    try:
                        await asyncio.to_thread(self._checkpoints.write, machine_id, alarms.state())
                        self.problem = ""
                    except OSError as error:
                        alarms.changed = True  # once more, next time
                        if not self.problem:
                            _logger.warning("alarms cannot be kept: %s", error)
                        self.problem = error.strerror or str(error)

    def save_all(self) -> None:
        """Write what has changed, at the end, without waiting for the disk."""
        for machine_id, alarms in self._machines.items():
            if alarms.changed:
                try:
                    self._checkpoints.write(machine_id, alarms.state(), durable=False)
                except OSError as error:
                    _logger.warning("%s: alarms cannot be kept: %s", machine_id, error)
