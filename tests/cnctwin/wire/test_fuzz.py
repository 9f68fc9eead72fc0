"""The decoder against requests that are nearly right: every one ends in a value or a DecodingError, and costs what its bytes cost.

The cost is counted in bytes of memory, not in seconds: it is the same on a loaded machine. ``CNCTWIN_FUZZ_SLICES=50`` looks longer.
"""

from __future__ import annotations

import contextlib
import os
import random
import tracemalloc
from typing import Any

import pytest
from asyncua import ua

from cnctwin.wire import Budget, DecodingError, decoder
from cnctwin.wire.decode import guarded
from tests.opcua_server.engine.mutants import REQUESTS, Mutants, diagnostic, nested, nested_structures

SLICES = int(os.environ.get("CNCTWIN_FUZZ_SLICES", "1"))
BASE_BYTES, BYTES_PER_BYTE = 20_000, 500
"""What decoding may take: a Variant of one byte becomes an object of some hundred."""


def cost(kind: Any, data: bytes) -> int:
    """The most memory that decoding took, in bytes, the lower of two: a table of the whole process that happens to grow just then
    does not grow twice. Anything but a value or a DecodingError is raised."""
    return min(_once(kind, data), _once(kind, data))


def _once(kind: Any, data: bytes) -> int:
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    with contextlib.suppress(DecodingError):
        guarded(decoder(kind), data, 0, Budget())
    _, peak = tracemalloc.get_traced_memory()
    return peak - before


@pytest.fixture(autouse=True)
def traced() -> Any:
    for kind in REQUESTS:
        decoder(kind)  # compiled once; that is no cost of a message
    yield
    tracemalloc.stop()


@pytest.mark.parametrize("part", range(SLICES))
def test_a_damaged_request_costs_no_more_than_its_bytes(part: int) -> None:
    mutants = Mutants(part)
    kinds = [mutants.source.choice(REQUESTS) for _ in range(2_000)]
    requests = [mutants.request(kind=kind) for kind in kinds]
    for kind, data in zip(kinds, requests, strict=True):
        cost(kind, data)  # what a message has in it is compiled when it is first met; that is no cost of a message either
    tracemalloc.start()
    for kind, data in zip(kinds, requests, strict=True):
        assert cost(kind, data) <= BASE_BYTES + BYTES_PER_BYTE * len(data), (kind, data.hex()[:2_000])


@pytest.mark.parametrize("part", range(SLICES))
def test_random_bytes_cost_no_more_than_they_are(part: int) -> None:
    source = random.Random(part)  # noqa: S311 - a seed, so that a failure can be repeated
    tracemalloc.start()
    for _ in range(3_000):
        data = source.randbytes(source.choice([1, 7, 40, 400]))
        kind = source.choice([*REQUESTS, ua.Variant, ua.ExtensionObject, ua.DataValue, ua.DiagnosticInfo, ua.NodeId])
        assert cost(kind, data) <= BASE_BYTES + BYTES_PER_BYTE * len(data), data.hex()


@pytest.mark.parametrize("levels", [10, 99, 101, 1_000, 5_000])
@pytest.mark.parametrize(("kind", "made"), [(ua.Variant, nested), (ua.Variant, nested_structures), (ua.DiagnosticInfo, diagnostic)])
def test_nesting_costs_no_more_than_its_bytes_and_ends_at_the_limit(kind: Any, made: Any, levels: int) -> None:
    data = made(min(levels, 1_000) if made is nested_structures else levels)
    tracemalloc.start()
    assert cost(kind, data) <= BASE_BYTES + BYTES_PER_BYTE * len(data)
    if levels > 100:
        with pytest.raises(DecodingError):
            guarded(decoder(kind), data, 0, Budget())
