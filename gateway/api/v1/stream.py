"""WS /api/v1/stream: a snapshot of each machine, then what changes, and alarms as they come and are handled.

    client  {"machines": [..] or null, "signals": [..] or null, "max_hz": 20, "resume": seq or null}
    server  {"type": "snapshot" | "update", "seq", "machine", "time", "values": {name: [value, status, source_time]}}
            {"type": "alarm", "machine", "time", "severity", "code", "text", "active"}
            {"type": "condition", "machine", "id", "event", "text", "acknowledged", ..., "retain"}
            {"type": "error", "detail"}

The client may send another wish at any time; it replaces the one before.
With ``resume`` set to the last ``seq`` seen, a client that was away gets what changed since, as updates; where that is no longer
known it gets snapshots. ``seq`` is 0 as long as the snapshots of some machines are still to come.
"""

from __future__ import annotations

import asyncio
from typing import Annotated, Final

import orjson
from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.websockets import WebSocket, WebSocketDisconnect

from gateway.api.given import TheGateway
from gateway.api.replies import NEW_API
from gateway.core import Gateway
from gateway.feed import Subscription
from nodesets import catalogue

router = APIRouter()
FIRST_MESSAGE_S: Final = 10.0
BETWEEN_S: Final = 0.05
"""Between two messages of a client: each brings a snapshot of all that it asks for."""
Name = Annotated[str, Field(max_length=200)]


class Wish(BaseModel):
    """What the client asks for; ``max_hz`` messages a second for each machine."""

    model_config = ConfigDict(extra="forbid")

    machines: list[Name] | None = Field(None, max_length=1000)
    signals: list[Name] | None = Field(None, max_length=1000)
    max_hz: float = Field(20.0, ge=0.1, le=50.0, allow_inf_nan=False)
    resume: int | None = None

    def subscription(self) -> Subscription:
        def whole(names: list[str] | None) -> frozenset[str] | None:
            return None if names is None else frozenset(names)

        return Subscription(whole(self.machines), whole(self.signals), self.max_hz)


@router.websocket(NEW_API + "/stream")
async def stream(socket: WebSocket, gateway: TheGateway) -> None:
    await socket.accept()
    gateway.clients += 1
    sending: asyncio.Task[None] | None = None
    try:
        async with asyncio.timeout(FIRST_MESSAGE_S):
            wish = await _wish(socket)
        while True:
            if wish is not None:
                if sending is not None:
                    sending.cancel()
                if unknown := _unknown(gateway, wish):
                    await socket.send_text(orjson.dumps({"type": "unknown", **unknown}).decode())
                sending = asyncio.create_task(_send(socket, gateway, wish), name="stream-client")
            await asyncio.sleep(BETWEEN_S)
            wish = await _wish(socket)
    except TimeoutError:
        await socket.close(1008, "no subscription within 10 s")
    except WebSocketDisconnect:
        pass
    finally:
        gateway.clients -= 1
        if sending is not None:
            sending.cancel()
            await asyncio.gather(sending, return_exceptions=True)


def _unknown(gateway: Gateway, wish: Wish) -> dict[str, list[str]]:
    """Names in a wish that nothing has now: misspelt, or of a machine that is to come; they stay in the subscription."""
    machines = gateway.twin.machines
    shown = {name for machine in machines.values() for name in machine.readings} if wish.signals else set()
    found = {
        "machines": [name for name in wish.machines or () if name not in machines],
        "signals": [name for name in wish.signals or () if name not in catalogue.BY_NAME and name not in shown],
    }
    return {kind: names for kind, names in found.items() if names}


async def _wish(socket: WebSocket) -> Wish | None:
    message = await socket.receive()
    if message["type"] == "websocket.disconnect":
        raise WebSocketDisconnect(message.get("code", 1006))
    try:
        return Wish.model_validate(orjson.loads(message.get("text") or message.get("bytes") or b""))
    except (orjson.JSONDecodeError, ValidationError) as error:
        problems = error.errors(include_url=False, include_input=False) if isinstance(error, ValidationError) else []
        detail = "; ".join(f"{'.'.join(map(str, p['loc'])) or 'the message'}: {p['msg']}" for p in problems) or "not valid JSON"
        await socket.send_text(orjson.dumps({"type": "error", "detail": detail}).decode())
        return None


async def _send(socket: WebSocket, gateway: Gateway, wish: Wish) -> None:
    try:
        channel, outbox = gateway.streams.join(wish.subscription())
    except OverflowError as error:
        await socket.close(1013, str(error))
        return
    try:
        first = channel.resumed(wish.resume) if wish.resume is not None else None
        for message in channel.snapshots() if first is None else first:
            await socket.send_text(message.decode())
        while True:
            message = await outbox.get()
            if outbox.take_overflow():
                for snapshot in channel.snapshots():
                    await socket.send_text(snapshot.decode())
            await socket.send_text(message.decode())
    except (WebSocketDisconnect, RuntimeError, OSError):
        pass  # the client went away; its receiving side ends the rest
    finally:
        gateway.streams.leave(channel, outbox)
