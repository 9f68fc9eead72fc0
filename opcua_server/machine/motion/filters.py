"""scipy's ``lfilter`` without the rest of scipy.

``scipy.signal`` imports five hundred modules: 70 MB of memory and a second of every start, for the one compiled function below.
So its file is loaded by itself. Where a version of scipy has it elsewhere, the public one does the same, at that price.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any, Final

import numpy as np

from opcua_server.machine.motion.block import Floats

_NAME: Final = "_sigtools"
_Coefficients = Floats | tuple[float, ...]


def _compiled() -> Callable[..., Any] | None:
    """``_linear_filter(b, a, x, axis, zi)``; None where it is not what and where it was."""
    package = find_spec("scipy")
    if package is None or package.origin is None:
        return None
    folder = Path(package.origin).parent / "signal"
    for path in (folder / (_NAME + suffix) for suffix in EXTENSION_SUFFIXES):
        if path.is_file():
            loader = ExtensionFileLoader(_NAME, str(path))
            spec = spec_from_file_location(_NAME, path, loader=loader)
            if spec is None:
                return None
            module = module_from_spec(spec)
            loader.exec_module(module)
            return getattr(module, "_linear_filter", None)
    return None


_linear_filter: Final = _compiled()


def lfilter(b: _Coefficients, a: _Coefficients, x: Floats, zi: Floats) -> tuple[Floats, Floats]:
    """``x``: (..., n) through the filter of coefficients ``b`` and ``a``, along its last axis, from the state ``zi``: (..., order);
    and the state after it."""
    if _linear_filter is None:
        from scipy.signal import lfilter as public

        return public(b, a, x, axis=-1, zi=zi)  # type: ignore[no-any-return]
    return _linear_filter(np.asarray(b), np.asarray(a), x, -1, zi)  # type: ignore[no-any-return]
