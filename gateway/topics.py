"""What machines are called in topics: a level of its own for each, over restarts too.

    A/1 -> A_1, the first of that name        A_1 -> A_1-5e0c1f9a, with digits of the SHA-256 of its own name

Who came first is kept in a file: names that become one level would change places with the order in which they come otherwise.
"""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Final

from cnctwin.files import set_database_aside, write_atomically
from cnctwin.link import Remark
from gateway.mqtt.message import level

log = logging.getLogger("gateway.mqtt")
MOST: Final = 10_000
"""Names that are kept. Documents may be sent in for ever new machines; those beyond have the digits of their name at once."""
DIGITS: Final = 8
ALL_DIGITS: Final = 64


class TopicNames:
    """``path``: where they are kept, as JSON {machine id: level}; None: in memory alone."""

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._levels = {} if path is None else _read(path)
        self._taken = set(self._levels.values())
        self._told: dict[str, Remark] = {}
        self._is_told = False

    @property
    def remarks(self) -> tuple[Remark, ...]:
        """Of the machines asked for since the start: whose name in topics had to be another than its own makes."""
        return tuple(self._told.values())

    def of(self, machine_id: str) -> str:
        """The topic level of a machine, which no other has."""
        found = self._levels.get(machine_id)
        if found is None:
            if len(self._levels) >= MOST:
                return _with_digits(machine_id, ALL_DIGITS)
            found = self._levels[machine_id] = self._free(machine_id)
            self._taken.add(found)
            self._keep()
        if found != (plain := level(machine_id)) and machine_id not in self._told:
            self._told[machine_id] = Remark(machine_id, f'its name in topics is "{found}": "{plain}" is that of another machine')
            log.warning("MQTT: %s", self._told[machine_id])
        return found

    def _free(self, machine_id: str) -> str:
        """The shortest that nobody has: two names never agree in all digits."""
        some = (_with_digits(machine_id, count) for count in range(DIGITS, ALL_DIGITS + 1, DIGITS))
        return next(one for one in (level(machine_id), *some) if one not in self._taken)

    def _keep(self) -> None:
        if self._path is None:
            return
        try:
            write_atomically(self._path, json.dumps(self._levels, indent=1).encode(), durable=False)
            self._is_told = False
        except OSError as error:
            if not self._is_told:
                self._is_told = True
                log.error("%s: names in topics cannot be kept (%s): after a restart they may be others", self._path, error)


def _with_digits(machine_id: str, count: int) -> str:
    return f"{level(machine_id)}-{hashlib.sha256(machine_id.encode('utf-8', 'surrogatepass')).hexdigest()[:count]}"


def _read(path: Path) -> dict[str, str]:
    """What is kept; a file that will not do is set aside and told."""
    try:
        found = json.loads(path.read_bytes())
        if not isinstance(found, dict) or not all(isinstance(one, str) and one == level(one) for one in found.values()):
            raise ValueError("not machines with a topic level each")
        if len(set(found.values())) < len(found):
            raise ValueError("two machines have one topic level")
    except FileNotFoundError:
        return {}
    except ValueError as error:
        log.error("%s: damaged (%s); set aside as %s, names begin anew", path, error, set_database_aside(path).name)
        return {}
    except OSError as error:
        log.error("%s: cannot be read: %s; names begin anew", path, error)
        return {}
    return found
