"""Alarms that want somebody, handled through the gateway: of a played and of the real server."""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from asyncua import ua
from asyncua.common.utils import Buffer
from asyncua.ua.ua_binary import struct_to_binary
from gate import SETTINGS_KEY, Gate, opened, until
from websockets.sync.client import connect

from cnctwin.link import Link, LinkCondition, LinkSettings, MethodFailed
from cnctwin.link.commands import handle
from nodesets.namespaces import instance_uri
from opcua_server.sources.source import SourceEvent
from tests.opcua_server.bench import Bench, running

CONDITIONS = "/api/v1/machines/CNC-001/conditions"
HOT = LinkCondition(
    "CNC-001", "0a0a", "ns=3;s=CNC-001.Hot", b"\x01\x02", "Hot", "Hot", "Bearing is too hot", 500, 1_760_000_000_000_000_000,
    active=True, acknowledged=False, confirmed=True,
)  # fmt: skip


def shown(gate: Gate, **wanted: Any) -> dict[str, Any]:
    """The one condition there is, when it is as it should be."""

    def found() -> dict[str, Any] | None:
        told = gate.http.get(CONDITIONS).json()
        return told[0] if len(told) == 1 and wanted.items() <= told[0].items() else None

    answer = until(found)
    assert answer is not None
    return answer


def test_an_alarm_goes_its_way_by_rest_and_everybody_is_told(gate: Gate) -> None:
    with connect(f"ws://127.0.0.1:{gate.port}/api/v1/stream", additional_headers={"x-api-key": SETTINGS_KEY}) as stream:
        stream.send(json.dumps({"machines": None, "signals": []}))
        assert json.loads(stream.recv(60))["type"] == "snapshot"
        gate.do(lambda: gate.link.show_condition(HOT))
        told = shown(gate, acknowledged=False)
        assert (told["id"], told["event"], told["text"], told["severity"]) == ("0a0a", "0102", "Bearing is too hot", 500)
        answer = gate.http.post(f"{CONDITIONS}/0a0a/acknowledge", json={"event": "0102", "comment": " cooling it "})
        assert (answer.status_code, answer.json()["state"], answer.json()["method"]) == (202, "done", "Acknowledge")
        told = shown(gate, acknowledged=True, confirmed=False)
        assert told["comment"].startswith("key ")
        assert told["comment"].endswith(": cooling it")
        assert gate.http.post(f"{CONDITIONS}/0a0a/comment", json={"comment": "ordered a pump"}).status_code == 202
        gate.do(
            lambda: gate.link.show_condition(
                LinkCondition(**{**fields(HOT), "active": False, "acknowledged": True, "confirmed": False})
            )
        )
        shown(gate, active=False)
        assert gate.http.post(f"{CONDITIONS}/0a0a/confirm").json()["state"] == "done"
        until(lambda: gate.http.get(CONDITIONS).json() == [])
        heard: list[dict[str, Any]] = []
        while not heard or heard[-1]["retain"]:
            message = json.loads(stream.recv(60))
            heard += [message] if message["type"] == "condition" else []
    assert {(one["machine"], one["id"]) for one in heard} == {("CNC-001", "0a0a")}
    acts = [(act, event) for act, _, event, _ in gate.link.handled]
    assert acts == [("Acknowledge", b"\x01\x02"), ("AddComment", b"\x02\x01"), ("Confirm", b"\x01\x02")]
    user = gate.link.handled[0][3].partition(":")[0]
    assert gate.link.handled[2][3] == user, "who confirmed is told to a server that sees the gateway only"


def fields(condition: LinkCondition) -> dict[str, Any]:
    return {name: getattr(condition, name) for name in LinkCondition.__dataclass_fields__}


def test_who_may_not_command_may_look_and_not_handle(gate: Gate) -> None:
    gate.do(lambda: gate.link.show_condition(HOT))
    until(lambda: gate.bare.get(CONDITIONS).json())
    before = len(gate.link.handled)
    for act in ("acknowledge", "confirm", "comment"):
        answer = gate.bare.post(f"{CONDITIONS}/0a0a/{act}", json={"comment": "no"})
        assert (answer.status_code, answer.headers["content-type"]) == (401, "application/problem+json")
    with httpx.Client(base_url=gate.base, timeout=10.0) as viewer:
        vault_user = {"user": "operator", "password": gate.password["operator"]}
        assert viewer.post("/api/v1/login", json=vault_user).status_code == 200
        foreign = viewer.post(f"{CONDITIONS}/0a0a/acknowledge", headers={"origin": "https://elsewhere.example"})
        assert foreign.status_code == 403
    assert len(gate.link.handled) == before


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("0a0a/acknowledge", {"event": "xyz"}, 422),
        ("0a0a/acknowledge", {"event": "0"}, 422),
        ("0a0a/acknowledge", {"comment": "x" * 901}, 422),
        ("0a0a/acknowledge", {"who": "me"}, 422),
        ("0a0a/comment", {"comment": "  "}, 422),
        ("0a0a/comment", None, 422),
        ("0a0a/forget", {}, 422),
        ("ffff/acknowledge", {}, 404),
        ("../../CNC-002/conditions/0a0a/acknowledge", {}, 404),
    ],
)
def test_what_is_asked_for_wrongly_is_refused_before_the_server_hears_of_it(gate: Gate, path: str, body: Any, status: int) -> None:
    gate.do(lambda: gate.link.show_condition(HOT))
    until(lambda: gate.http.get(CONDITIONS).json())
    before = len(gate.link.handled)
    assert gate.http.post(f"{CONDITIONS}/{path}", json=body).status_code == status
    assert len(gate.link.handled) == before


def test_refusals_of_the_server_are_conflicts_in_words(gate: Gate) -> None:
    gate.do(lambda: gate.link.show_condition(HOT))
    until(lambda: gate.http.get(CONDITIONS).json())
    for name, status, words in (
        ("BadConditionBranchAlreadyAcked", 409, "somebody has acknowledged it already"),
        ("BadEventIdUnknown", 409, "no longer what you saw"),
        ("BadConditionDisabled", 409, "disabled"),
        ("BadUserAccessDenied", 403, "not allowed"),
        ("BadInternalError", 502, "not allowed"),
    ):
        gate.link.refusal = MethodFailed(0x80000000, name, "not allowed")
        answer = gate.http.post(f"{CONDITIONS}/0a0a/acknowledge")
        assert (answer.status_code, answer.json()["status_name"]) == (status, name)
        assert words in answer.json()["detail"]
    gate.link.refusal = None


def test_the_same_acknowledgement_under_one_key_is_given_once(gate: Gate) -> None:
    gate.do(lambda: gate.link.show_condition(HOT))
    until(lambda: gate.http.get(CONDITIONS).json())
    before = len(gate.link.handled)
    key = {"idempotency-key": "once"}
    first, second = (gate.http.post(f"{CONDITIONS}/0a0a/acknowledge", headers=key) for _ in range(2))
    assert first.json()["id"] == second.json()["id"]
    assert gate.http.post(f"{CONDITIONS}/0a0a/confirm", headers=key).status_code == 422
    assert len(gate.link.handled) == before + 1
    gate.link.state = "lost"
    assert gate.http.post(f"{CONDITIONS}/0a0a/confirm").status_code == 503
    gate.link.state = "connected"


def test_a_server_that_wants_its_own_method_gets_it() -> None:
    asked: list[ua.NodeId] = []
    own = ua.NodeId("Mill.Hot.Acknowledge", 3)

    class Foreign:
        uaclient: Any

        def __init__(self) -> None:
            self.uaclient = self.session = self
            self.nodeid = own

        async def _send_request(self, request: Any) -> Buffer:
            (one,) = request.Parameters.MethodsToCall
            asked.append(one.MethodId)
            code = 0 if one.MethodId == own else ua.StatusCodes.BadMethodInvalid
            response = ua.CallResponse(Results=[ua.CallMethodResult(ua.StatusCode(code))])
            if request.RequestHeader.ReturnDiagnostics:
                response.DiagnosticInfos, response.ResponseHeader.StringTable = list(infos), ["en", "not with me"]
            return Buffer(struct_to_binary(response))

        def get_node(self, _node_id: Any) -> Any:
            return self

        async def get_child(self, name: str) -> Any:
            if name != "0:Acknowledge":
                raise ua.UaStatusCodeError(ua.StatusCodes.BadNoMatch)
            return self

    infos: list[ua.DiagnosticInfo] = []
    client: Any = Foreign()
    asyncio.run(handle(client, "Acknowledge", "ns=3;s=Mill.Hot", b"1", ""))
    assert asked == [ua.NodeId(ua.ObjectIds.AcknowledgeableConditionType_Acknowledge), own]
    with pytest.raises(MethodFailed) as refused:
        asyncio.run(handle(client, "Confirm", "ns=3;s=Mill.Hot", b"1", ""))
    assert (refused.value.name, str(refused.value)[:17]) == ("BadMethodInvalid", "Confirm: refused:")
    for info, said in (
        (ua.DiagnosticInfo(LocalizedText=1), "not with me"), (ua.DiagnosticInfo(AdditionalInfo="ask me not"), "ask me not"),
        (ua.DiagnosticInfo(LocalizedText=2, AdditionalInfo="x"), "x"), (ua.DiagnosticInfo(LocalizedText=-5), "Confirm: refused:"),
    ):  # fmt: skip
        infos[:] = [info]
        with pytest.raises(MethodFailed) as refused:
            asyncio.run(handle(client, "Confirm", "ns=3;s=Mill.Hot", b"1", ""))
        assert str(refused.value).startswith(said), "the server's own words, where it has some"


# The real server -----------------------------------------------------------------------------------------------------


def test_alarms_of_the_real_server_are_found_handled_and_let_go(tmp_path: Path) -> None:
    with running(tmp_path) as bench:
        source, data = bench.sources["CNC-001"], bench.settings.data
        code, text = "PS0020", "OVER TOLERANCE OF RADIUS (O1000 line 12)"
        source.events.append(SourceEvent("alarm", time.time_ns(), 700, code, text))  # before anybody listens
        until(lambda: not source.events)
        login = {"user": "gateway", "password": bench.password("gateway")}
        link: Any = Link(LinkSettings(bench.settings.endpoint, "gateway", data, **login))
        with opened(tmp_path / "gate", link) as gate:
            found = shown(gate, name=code, active=True, acknowledged=False)  # by a refresh
            assert (found["code"], found["text"], found["severity"]) == (code, text, 700)
            assert gate.http.get("/api/v1/machines/CNC-001/alarms").json() == [], "what was so before is no news"

            def act(name: str, **body: Any) -> int:
                return gate.http.post(f"{CONDITIONS}/{found['id']}/{name}", json=body).status_code

            assert act("acknowledge", event="ff" * 16) == 409
            assert act("confirm", event=found["event"]) == 409
            assert act("acknowledge", event=found["event"], comment="looking at it") == 202
            acked = shown(gate, acknowledged=True, confirmed=False)
            assert acked["comment"].endswith(": looking at it")
            assert acked["user"] == "gateway"
            assert act("acknowledge", event=found["event"]) == 409
            assert act("comment", comment="wrong radius") == 202
            shown(gate, acknowledged=True, comment=acked["comment"].replace("looking at it", "wrong radius"))
            source.events.append(SourceEvent("alarm_cleared", time.time_ns(), 700, code, text))
            shown(gate, active=False)
            asyncio.run(confirm(bench, event=acked["event"]))  # by somebody else's client
            until(lambda: gate.http.get(CONDITIONS).json() == [])
            assert act("comment", comment="too late") == 404


async def confirm(bench: Bench, event: str) -> None:
    async with bench.client("operator") as client:
        index = await client.get_namespace_index(instance_uri("CNC-001"))
        condition = client.get_node(ua.NodeId("CNC-001.Notification.Conditions.PS0020", index))
        said = ua.Variant(ua.LocalizedText("done", "en"), ua.VariantType.LocalizedText)
        await condition.call_method(ua.NodeId(9113), ua.Variant(bytes.fromhex(event), ua.VariantType.ByteString), said)
