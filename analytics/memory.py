"""What was learned, on disk: one file a machine, replaced whole, and set aside when it cannot be read.

<data>/analytics/<machine>.npz           arrays, and their tree as JSON; never pickled, so a file cannot run code
<data>/analytics/<machine>.npz.corrupt   what could not be read, for whoever wants to know why
"""

from __future__ import annotations

import io
import json
import logging
import os
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from cnctwin.files import write_atomically

log = logging.getLogger(__name__)
_TREE: Final = "tree"
_ARRAY: Final = "$array"


def path_of(folder: Path, machine_id: str) -> Path:
    """A file name that is safe for any machine id, and different for different ones."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", machine_id).lstrip(".") or "_"
    if plain != machine_id:
        plain += "-" + machine_id.encode("utf-8").hex()[:40]
    return folder / f"{plain}.npz"


def pack(state: dict[str, Any]) -> bytes:
    """The file's content. Raises TypeError for what is neither JSON nor an array."""
    arrays: dict[str, npt.NDArray[Any]] = {}

    tree = json.dumps(_flat(state, arrays))
    buffer = io.BytesIO()
    np.savez_compressed(buffer, allow_pickle=False, **{_TREE: np.array(tree)}, **arrays)
    return buffer.getvalue()


def unpack(content: bytes) -> dict[str, Any]:
    """The state of a file's content. Raises ValueError when it is none."""
    try:
        with np.load(io.BytesIO(content), allow_pickle=False) as file:
            tree = json.loads(str(file[_TREE]))
            arrays = {name: file[name] for name in file.files if name != _TREE}
    except (OSError, KeyError, EOFError, zipfile.BadZipFile, json.JSONDecodeError) as error:
        raise ValueError(str(error) or type(error).__name__) from error
    except ValueError as error:  # numpy's words are of pickles, and how to load them all the same
        raise ValueError("it is no file of arrays") from error

    try:
        state = _nested(tree, arrays)
    except KeyError as error:
        raise ValueError(f"array {error} is missing") from error
    if not isinstance(state, dict):
        raise ValueError("not a tree")
    return state


# Not functions within those above: one that calls itself holds itself, and with it a copy of all arrays until the collector comes.


def _flat(value: Any, arrays: dict[str, npt.NDArray[Any]]) -> Any:
    """For JSON; arrays are put into ``arrays`` and named."""
    if isinstance(value, np.ndarray):
        name = f"a{len(arrays)}"
        arrays[name] = value
        return {_ARRAY: name}
    if isinstance(value, dict):
        return {str(key): _flat(item, arrays) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_flat(item, arrays) for item in value]
    return value.item() if isinstance(value, np.generic) else value  # a number that came out of an array


def _nested(value: Any, arrays: Mapping[str, npt.NDArray[Any]]) -> Any:
    """``_flat`` backwards. Raises KeyError for an array that is not there."""
    if isinstance(value, dict):
        if set(value) == {_ARRAY}:
            return arrays[value[_ARRAY]]
        return {key: _nested(item, arrays) for key, item in value.items()}
    return [_nested(item, arrays) for item in value] if isinstance(value, list) else value


def save(path: Path, content: bytes) -> None:
    """Write a file whole or not at all; what was there stays until the new one is safe on disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, content)


def load(path: Path) -> dict[str, Any] | None:
    """The state in a file; None when there is none, or none that can be read: that one is set aside with a warning."""
    try:
        return unpack(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        set_aside(path, error)
        return None


def set_aside(path: Path, why: Exception) -> None:
    """Keep a file that cannot be used under another name, and say so once."""
    aside = path.with_name(path.name + ".corrupt")
    if isinstance(why, KeyError):
        why = ValueError(f"it has no {why}: another version wrote it")
    try:
        os.replace(path, aside)
        log.warning("%s cannot be used (%s): kept as %s, learning begins anew", path, why, aside.name)
    except OSError as error:
        log.warning("%s cannot be used (%s) nor moved (%s): learning begins anew", path, why, error)
