"""The methods of ServerConfiguration on their objects, and what the objects show.

``claim`` is called when the address space is built: what is not offered goes, the rest is for administrators. ``services`` is the
engine's room: it carries the methods out.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from certs.kinds import KINDS
from certs.lists import rejected
from cnctwin.wire.scalars import ua
from opcua_server.engine.configuration import trust_file
from opcua_server.engine.configuration.arguments import answer, values
from opcua_server.engine.configuration.own import GROUP, KEY_FORMATS, KIND, OwnCertificate
from opcua_server.engine.configuration.trust_file import TrustFile
from opcua_server.engine.contract import Core, MethodHandler, Request, Service, ServiceFault
from opcua_server.engine.discovery import CAPABILITIES
from opcua_server.space.removal import take_away

_C = ua.StatusCodes
_A: Final = ua.AttributeIds
_V: Final = ua.VariantType
CONFIGURATION: Final = ua.NodeId(12637, 0)
UPDATE_CERTIFICATE: Final = ua.NodeId(13737, 0)
NOT_OFFERED: Final = (14088, 15892, 32336, 25709, 23597)
"""Group for HTTPS, ConfigurationFile, TransactionDiagnostics, ResetToServerDefaults, HasSecureElement."""
USER_TYPE: Final = ua.NodeId(ua.ObjectIds.UserCertificateType, 0)
_OWN_METHODS: Final = {"create_signing_request": 12737, "update": 13737, "apply": 12740, "cancel": 25708}
_REJECTED: Final = 12777


@dataclass(frozen=True, slots=True)
class _List:
    """The nodes of a trust list, by their numbers in namespace 0. ``methods``: of TrustFile -> method."""

    group: int
    file: int
    size: int
    writable: int
    user_writable: int
    open_count: int
    updated: int
    methods: dict[str, int]

    @property
    def private(self) -> tuple[int, ...]:
        return self.size, self.user_writable, self.open_count, self.updated


_APPLICATIONS: Final = _List(
    14156, 12642, 12643, 14157, 14158, 12646, 12662,
    {"open": 12647, "close": 12650, "read": 12652, "write": 12655, "get_position": 12657, "set_position": 12660,
     "open_with_masks": 12663, "close_and_update": 12666, "add": 12668, "remove": 12670},
)  # fmt: skip
_USERS: Final = _List(
    14122, 14123, 14124, 14125, 14126, 14127, 14144,
    {"open": 14129, "close": 14132, "read": 14134, "write": 14137, "get_position": 14139, "set_position": 14142,
     "open_with_masks": 14145, "close_and_update": 14148, "add": 14151, "remove": 14153},
)  # fmt: skip


def claim(server: Any) -> None:
    """Take away what is not offered, and give the rest to administrators."""
    rights = server.rights
    has_users = server.users.certificates is not None
    lists = (_APPLICATIONS, _USERS) if has_users else (_APPLICATIONS,)
    take_away(server.iserver.aspace, [ua.NodeId(number, 0) for number in NOT_OFFERED + (() if has_users else (_USERS.group,))])
    of_files = [number for one in lists for number in one.methods.values()]
    rights.admin_methods |= {ua.NodeId(number, 0) for number in (*_OWN_METHODS.values(), *of_files, _REJECTED)}
    rights.secret_arguments.add(UPDATE_CERTIFICATE)
    aspace = server.iserver.aspace
    for number, value, kind in (
        (12710, list(CAPABILITIES), _V.String),
        (12639, list(KEY_FORMATS), _V.String),
        (12640, trust_file.MAX_BYTES, _V.UInt32),
        (12641, False, _V.Boolean),
        (14161, [ua.NodeId(kind.type_id, 0) for kind in KINDS if server.own.of(kind) is not None], _V.NodeId),
        *([(14155, [USER_TYPE], _V.NodeId)] if has_users else []),
        *((one.writable, True, _V.Boolean) for one in lists),
        (25706, server.application_uri, _V.String),
        (25725, server.product_uri, _V.String),
        (25707, 0, _V.Int32),
    ):
        aspace[ua.NodeId(number, 0)].attributes[_A.Value].value = _shown(value, kind)
    for one in lists:
        rights.private |= {ua.NodeId(number, 0) for number in one.private}


def services(core: Core) -> list[Service]:
    """The room: no services of its own, methods for the Call service."""
    own = OwnCertificate(core, core.trust.trusted.parent)
    for name, number in _OWN_METHODS.items():
        core.methods[ua.NodeId(number, 0)] = _on(CONFIGURATION, getattr(own, name))
    core.methods[ua.NodeId(_REJECTED, 0)] = _on(CONFIGURATION, _rejected_list(core.trust))
    _serve(core, _APPLICATIONS, core.trust)
    if core.user_trust is not None:
        _serve(core, _USERS, core.user_trust)
    return []


def _serve(core: Core, nodes: _List, trust: Any) -> None:
    """A trust list as a file."""
    file = TrustFile(core, trust, ua.NodeId(nodes.file, 0))
    for name, number in nodes.methods.items():
        core.methods[ua.NodeId(number, 0)] = _on(ua.NodeId(nodes.file, 0), getattr(file, name))
    live: tuple[tuple[int, Callable[[], Any], Any], ...] = (
        (nodes.size, lambda: file.size, _V.UInt64),
        (nodes.user_writable, lambda: True, _V.Boolean),
        (nodes.open_count, lambda: file.open_count, _V.UInt16),
        (nodes.updated, lambda: file.updated, _V.DateTime),
    )
    for number, value, kind in live:
        held = core.aspace[ua.NodeId(number, 0)].attributes[_A.Value]
        held.value_callback = lambda _node, _attribute, value=value, kind=kind: _shown(value(), kind)


def _on(own: Any, handler: MethodHandler) -> MethodHandler:
    """A method answers on its own object only."""

    def run(request: Request, object_id: Any, given: list[Any]) -> Any:
        if object_id != own:
            raise ServiceFault(_C.BadMethodInvalid)
        return handler(request, object_id, given)

    return run


def _rejected_list(trust: Any) -> MethodHandler:
    async def get(_request: Request, _object: Any, given: list[Any]) -> Any:
        values(given)
        return answer(ua.Variant(await asyncio.to_thread(rejected, trust), _V.ByteString, is_array=True))

    return get


def _shown(value: Any, kind: Any) -> Any:
    now = datetime.now(UTC)
    variant = ua.Variant(value, kind, is_array=isinstance(value, list))
    return ua.DataValue(variant, SourceTimestamp=now, ServerTimestamp=now)


__all__ = ["GROUP", "KIND", "claim", "services"]
