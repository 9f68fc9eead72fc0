"""Maps of servers whose maker has a model of his own: what is wrong in one, how values are read, and a link through one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from asyncua import ua

from cnctwin.errors import ConfigurationError
from cnctwin.link import Link, LinkSettings, lookout
from cnctwin.link.mapping import binding, read
from cnctwin.link.state import MachineState
from cnctwin.reading import BAD_NODE_ID_UNKNOWN, BAD_TYPE_MISMATCH, Reading

MAP = """
[namespaces]
m = "urn:small"
[machines.MILL-7]
model = "X100"
[machines.MILL-7.signals]
"Spindle/ActSpeed" = {{ node = "m:s=M1.Spindle/ActSpeed", factor = 0.5, offset = 1 }}
"Tool/Number" = "m:s=M1.Tool/Number"
"Machine/State" = {{ node = "m:s=M1.Tool/InCut", values = {{ "1" = 3, "0" = 1 }} }}
"Coolant/Flow" = "m:s={lost}"
"""


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "map.toml"
    path.write_text(text, "utf-8")
    return path


def test_everything_that_is_wrong_is_said_at_once_and_with_its_place(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
        [other]
        [namespaces]
        m = "urn:m"
        [machines.A]
        colour = "blue"
        [machines.A.signals]
        "Spindle/ActSped" = "m:s=1"
        "Spindle/ActSpeed" = "x:s=1"
        "Spindle/ActLoad" = "m:1"
        "Tool/Number" = { node = "m:i=1", factor = 2.0 }
        "Coolant/IsOn" = { node = "m:i=1", values = { "on" = "yes" } }
        "Door/IsClosed" = 3
        [machines.B]
        """,
    )
    with pytest.raises(ConfigurationError) as error:
        read(path)
    told = [problem.removeprefix(f"opcua_map: {path}: ") for problem in error.value.problems]
    assert [line.split(";")[0] for line in told] == [
        "other: is neither namespaces nor machines",
        "machines.A.colour: is neither signals nor one of manufacturer, model, serial_number, location",
        "machines.A: Spindle/ActSped: no such signal (meant Spindle/ActSpeed?)",
        "machines.A: Spindle/ActSpeed: x:s=1: no namespace of that prefix",
        "machines.A: Spindle/ActLoad: 1: is no identifier",
        "machines.A: Tool/Number: factor and offset are for numbers with a fraction",
        "machines.A: Coolant/IsOn: values must be a table of the server's values, as text, and of values of type Boolean",
        'machines.A: Door/IsClosed: must be a node, such as "m:s=Mill.Speed", or { node, factor, offset } or { node, values }',
        "machines.B.signals: there is none",
    ]


@pytest.mark.parametrize("text", [None, "machines = 3", "= =", ""])
def test_a_file_that_is_no_map_is_one_clear_problem(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "map.toml" if text is None else written(tmp_path, text)
    with pytest.raises(ConfigurationError) as error:
        binding(path)
    assert [line.startswith(f"opcua_map: {path}: ") for line in error.value.problems] == [True]


@pytest.mark.parametrize(
    ("signal", "at", "value", "read_as"),
    [
        ("Axes/X/ActPos", '{ node = "i=1", factor = 25.4 }', 2, 50.8),
        ("Axes/X/ActPos", '"i=1"', "far", None),
        ("Axes/X/ActPos", '"i=1"', float("nan"), None),
        ("Tool/Number", '"i=1"', 3.0, 3),
        ("Coolant/IsOn", '"i=1"', 1, True),
        ("Tool/Type", '"i=1"', ua.LocalizedText("drill", "en"), "drill"),
        ("Machine/State", '{ node = "i=1", values = { "RUN" = 3 } }', "RUN", 3),
        ("Machine/State", '{ node = "i=1", values = { "RUN" = 3 } }', "STOP", None),
        ("Machine/State", '{ node = "i=1", values = { "1" = 3 } }', True, 3),
        ("Machine/State", '{ node = "i=1", values = { "1" = 3 } }', 1.0, 3),
    ],
)
def test_a_value_is_read_as_the_map_says_and_what_does_not_fit_is_bad(
    tmp_path: Path, signal: str, at: str, value: Any, read_as: Any
) -> None:
    state = MachineState("A")
    place = read(written(tmp_path, f'[machines.A.signals]\n"{signal}" = {at}'))["A"].signals[signal]
    state.told = {signal: place.told}
    state.add(Reading(signal, value, 0, 1, 1))
    (batch,) = state.flush()
    (found,) = batch.readings
    assert found.value == (pytest.approx(read_as) if isinstance(read_as, float) else read_as)
    assert type(found.value) is type(read_as)
    assert found.status == (BAD_TYPE_MISMATCH if read_as is None else 0)


def test_a_server_of_another_model_is_a_machine_through_its_map_and_nodes_that_come_and_go_without_a_word_are_noticed(
    small: Any, eventually: Callable[..., Awaitable[Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lookout, "LOOK_S", 0.1)
    small.start("--shift", "2")
    path = written(tmp_path, MAP.format(lost="M1.Gone"))
    given = LinkSettings(small.url, "test", tmp_path, insecure=True, publishing_interval=0.05)
    link = Link(given, bind=binding(path))
    path.write_text(path.read_text().replace("urn:small", "urn:other"))
    lost = Link(given, bind=binding(path))

    async def scenario() -> None:
        tasks = [asyncio.create_task(link.run()), asyncio.create_task(lost.run())]
        try:
            await eventually(lambda: "MILL-7" in link.machines and len(link.latest("MILL-7")) == 3)
            machine = link.machines["MILL-7"]
            assert (machine.model, machine.signals) == ("X100", {"Spindle/ActSpeed", "Tool/Number", "Machine/State"})
            shown = {name: reading.value for name, reading in link.latest("MILL-7").items()}
            assert shown == {"Spindle/ActSpeed": 501.0, "Tool/Number": 3, "Machine/State": 3}
            await eventually(lambda: f"{path}: the server has no namespace urn:other; it has " in lost.reason)
            await eventually(lambda: [str(one) for one in link.remarks] == ["MILL-7: the server has no node for Coolant/Flow"])
            small.tell("make M1 Gone")
            await eventually(
                lambda: "Coolant/Flow" in link.latest("MILL-7") and link.latest("MILL-7")["Coolant/Flow"].value == 44.0
            )
            small.tell("remove M1 Gone")
            await eventually(lambda: link.latest("MILL-7")["Coolant/Flow"].status == BAD_NODE_ID_UNKNOWN)
            await eventually(lambda: link.reconnects == 2)  # bound anew twice, without a loss of the session
            await eventually(lambda: link.latest("MILL-7")["Spindle/ActSpeed"].is_good)
            assert link.state == "connected"
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(scenario())
