"""A whole server whose engine has other limits, rooms or options; started by the program's own parts, in a thread of its own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

from asyncua import ua

from opcua_server import program
from opcua_server.engine.engine import Engine
from opcua_server.engine.subscriptions import service as subscriptions
from opcua_server.history.historian import Historian
from opcua_server.security.server import SecureServer
from tests.opcua_server import bench

Bench = bench.Bench


@contextlib.contextmanager
def running(folder: Path, engines: list[Engine] | None = None, **options: Any) -> Iterator[bench.Bench]:
    """As ``bench.running``. ``engines`` gets the engine; its limits are ``options['limits']``."""
    limits = options.pop("limits", None)
    rooms = options.pop("rooms", ())
    more = options.pop("engine_options", {})

    def front(server: SecureServer, historian: Historian | None) -> Engine:
        # History listens to the events of the subscriptions' room.
        kept = [historian.services] if historian is not None and subscriptions.services in rooms else []
        engine = Engine.of(server, rooms=[*rooms, *kept], limits=limits, **more)
        if engines is not None:
            engines.append(engine)
        return engine

    with mock.patch.object(program, "make_front", front), bench.running(folder, **options) as running_bench:
        yield running_bench


# Requests that may be as large as somebody likes ---------------------------------------------------------------------


def writes(value: ua.Variant, count: int = 1) -> Any:
    one = ua.WriteValue(ua.NodeId(2258), ua.AttributeIds.Value, None, ua.DataValue(value))
    return ua.WriteRequest(Parameters=ua.WriteParameters([one] * count))


def browses(count: int, most: int = 0) -> Any:
    one = ua.BrowseDescription(ua.NodeId(84), ua.BrowseDirection.Both, ua.NodeId(), True, 0, 63)
    return ua.BrowseRequest(Parameters=ua.BrowseParameters(ua.ViewDescription(), most, [one] * count))
