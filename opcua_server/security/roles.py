"""Roles as OPC UA shows them (OPC 10000-18): the RoleSet, and which role may do what with a command or a result.

    our role       shown as             who has it
    Viewer         Observer             without a login where that is offered, or as an operator says
    Operator       Operator
    Engineer       Engineer             without a login under --insecure
    Admin          SecurityAdmin        also: reads this, configures certificates, sees audit events
    Analytics      Analytics            a role of ours
    Gateway        Gateway              a role of ours

Everything here is derived from ``access``, which is what the services ask: what is shown is what is enforced. Nothing of it can
be changed over OPC UA; an operator does that on the host.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final, get_args

from cnctwin.secrets import Role
from cnctwin.wire.scalars import ua
from nodesets.sharing import FixedValue
from opcua_server.security.access import may_call, may_configure, may_operate, may_write, may_write_results
from opcua_server.security.rights import Rights

_A: Final = ua.AttributeIds
_V: Final = ua.VariantType
_P: Final = ua.PermissionType
_CRITERIA: Final = ua.IdentityCriteriaType
ROLE_SET: Final = ua.NodeId(15606, 0)
_ROLE_TYPE: Final = ua.NodeId(15620, 0)
_HAS_COMPONENT: Final = ua.NodeId(47, 0)
ANONYMOUS_ID: Final = ua.NodeId(15644, 0)
AUTHENTICATED_ID: Final = ua.NodeId(15656, 0)
OURS: Final = 1
"""Namespace of the server's own nodes."""
ROLE_IDS: Final[dict[Role, Any]] = {
    "Viewer": ua.NodeId(15668, 0),
    "Operator": ua.NodeId(15680, 0),
    "Engineer": ua.NodeId(16036, 0),
    "Admin": ua.NodeId(15704, 0),
    "Analytics": ua.NodeId("Roles.Analytics", OURS),
    "Gateway": ua.NodeId("Roles.Gateway", OURS),
}
OWN_ROLES: Final[tuple[Role, ...]] = ("Analytics", "Gateway")
_EVERYBODY: Final = _P.Browse | _P.Read | _P.ReceiveEvents


def roles_of(user: str | None, role: Role | None) -> list[Any]:
    """NodeIds of the roles of a session: its own, and whether somebody logged in at all."""
    own = [ROLE_IDS[role]] if role is not None else []
    return [ANONYMOUS_ID if user is None else AUTHENTICATED_ID, *own]


def permissions_of(session: Any, rows: list[Any]) -> list[Any]:
    """The rows of RolePermissions that count for a session (UserRolePermissions)."""
    roles = roles_of(session.user, session.role) if session is not None else []
    return [row for row in rows if row.RoleId in roles]


def _row(role_id: Any, allowed: Any) -> Any:
    return ua.RolePermissionType(role_id, _P(int(allowed)))


def _shown(rows: list[Any]) -> FixedValue:
    return FixedValue(ua.DataValue(ua.Variant(rows, _V.ExtensionObject, is_array=True)))


def _rows(extra: Any) -> FixedValue:
    """RolePermissions of a node: what everybody may, and what ``extra(role)`` adds to it."""
    roles: tuple[Role, ...] = get_args(Role)
    rows = []
    for role in roles:
        allowed = _EVERYBODY | extra(role)
        if may_configure(role):
            allowed |= _P.ReadRolePermissions
        rows.append(_row(ROLE_IDS[role], allowed))
    return _shown(rows)


def show_permissions(aspace: Any, rights: Rights) -> None:
    """Give commands, methods of alarms, results, and what is for administrators the attributes that say so."""
    of_method: dict[Any, FixedValue] = {}  # machines have the same ones
    for (_object, method_id), (_machine, method) in rights.methods.items():
        if (held := of_method.get(method)) is None:
            held = of_method[method] = _rows(lambda role, method=method: _P.Call if may_call(role, method) else 0)
        _attach(aspace, method_id, held)
    operating = _rows(lambda role: _P.Call if may_operate(role) else 0)
    for node_id in rights.operator_methods:
        _attach(aspace, node_id, operating)
    results = _rows(lambda role: _P.Write if may_write_results(role) else 0)
    for node_id in rights.results:
        _attach(aspace, node_id, results)
    plate = _rows(lambda role: _P.Write if may_write(role, is_result=False) else 0)
    for node_id in rights.plate:
        _attach(aspace, node_id, plate)
    switches = _rows(lambda role: _P.Write if may_configure(role) else 0)
    for node_id in rights.switches:
        _attach(aspace, node_id, switches)
    allowed = _P.Browse | _P.Read | _P.ReadRolePermissions
    private, admin = (_shown([_row(ROLE_IDS["Admin"], rows)]) for rows in (allowed, allowed | _P.Call))
    for node_id in rights.private:
        _attach(aspace, node_id, private)
    for node_id in rights.admin_methods:
        _attach(aspace, node_id, admin)


def _attach(aspace: Any, node_id: Any, rows: FixedValue) -> None:
    node = aspace.get(node_id)
    if node is not None:
        node.attributes[_A.RolePermissions] = node.attributes[_A.UserRolePermissions] = rows


# The RoleSet ----------------------------------------------------------------------------------------------------------


def identities(server: Any) -> dict[Any, list[Any]]:
    """Role NodeId -> IdentityMappingRules, as they are now: users with a password, with a certificate, with an issued token, and
    without a login."""
    users = server.users
    rules: dict[Any, list[Any]] = {ANONYMOUS_ID: [], AUTHENTICATED_ID: [_rule(_CRITERIA.AuthenticatedUser, "")]}
    if users.anonymous is not None:
        rules[ANONYMOUS_ID].append(_rule(_CRITERIA.Anonymous, ""))
        rules.setdefault(ROLE_IDS[users.anonymous], []).append(_rule(_CRITERIA.Anonymous, ""))
    for name, role in sorted(users.passwords().items()):
        rules.setdefault(ROLE_IDS[role], []).append(_rule(_CRITERIA.UserName, name))
    for entry in users.certificates.known() if users.certificates is not None else []:
        role_id = ROLE_IDS.get(entry.note.get("role"))
        if role_id is not None:
            rules.setdefault(role_id, []).append(_rule(_CRITERIA.Thumbprint, entry.thumbprint))
    for value, role in users.issuer.roles.items() if users.issuer is not None else []:
        rules.setdefault(ROLE_IDS[role], []).append(_rule(_CRITERIA.Role, value))
    return rules


def _rule(kind: Any, criteria: str) -> Any:
    return ua.IdentityMappingRuleType(kind, criteria)


async def show_role_set(server: Any) -> None:
    """Fill the RoleSet: roles of ours beside the well-known ones, and who has which; readable by administrators only."""
    aspace, rights = server.iserver.aspace, server.rights
    for role in OWN_ROLES:
        made = server.get_node(ROLE_IDS[role])
        (added,) = await server.iserver.isession.add_nodes([_role_object(role)])
        added.StatusCode.check()
        node_id = ua.NodeId(f"{ROLE_IDS[role].Identifier}.Identities", OURS)
        datatype = ua.NodeId(ua.ObjectIds.IdentityMappingRuleType)
        empty = ua.Variant([], _V.ExtensionObject, is_array=True)
        await made.add_property(node_id, ua.QualifiedName("Identities", 0), empty, _V.ExtensionObject, datatype)
        aspace[node_id].attributes[ua.AttributeIds.ValueRank].value = ua.DataValue(ua.Variant(ua.ValueRank.OneDimension, _V.Int32))
    for reference in aspace[ROLE_SET].references:
        if not reference.IsForward or reference.ReferenceTypeId != _HAS_COMPONENT:
            continue
        if reference.NodeClass == ua.NodeClass.Method:
            rights.admin_methods.add(reference.NodeId)
            continue
        for child in aspace[reference.NodeId].references:
            if child.IsForward and child.NodeClass == ua.NodeClass.Method:
                rights.admin_methods.add(child.NodeId)
            elif child.IsForward and child.NodeClass == ua.NodeClass.Variable:
                rights.private.add(child.NodeId)
                _fill(server, reference.NodeId, child)


def _role_object(role: Role) -> Any:
    item = ua.AddNodesItem()
    item.ParentNodeId, item.ReferenceTypeId = ROLE_SET, _HAS_COMPONENT
    item.RequestedNewNodeId, item.BrowseName = ROLE_IDS[role], ua.QualifiedName(role, OURS)
    item.NodeClass, item.TypeDefinition = ua.NodeClass.Object, _ROLE_TYPE
    item.NodeAttributes = ua.ObjectAttributes()
    item.NodeAttributes.DisplayName = ua.LocalizedText(role, "en")
    return item


def _fill(server: Any, role_id: Any, reference: Any) -> None:
    held = server.iserver.aspace[reference.NodeId].attributes[_A.Value]
    name = reference.BrowseName.Name
    if name == "Identities":
        held.value_callback = lambda _node, _attribute: _now(identities(server).get(role_id, []), _V.ExtensionObject)
    elif name in ("ApplicationsExclude", "EndpointsExclude"):
        held.value = _now(True, _V.Boolean)  # with an empty list: none is left out
    elif name == "CustomConfiguration":
        held.value = _now(False, _V.Boolean)
    else:
        held.value = _now([], _V.String if name == "Applications" else _V.ExtensionObject)


def _now(value: Any, kind: Any) -> Any:
    moment = datetime.now(UTC)
    variant = ua.Variant(value, kind, is_array=isinstance(value, list))
    return ua.DataValue(variant, SourceTimestamp=moment, ServerTimestamp=moment)
