"""MA:Monitoring/Consumption: metering points that show what the signals of the machine show."""

from __future__ import annotations

import cmath
import math
from typing import Any

import numpy as np
import pytest
from asyncua import Server, ua

from opcua_server.machine.mains import Mains
from opcua_server.machine.signals import MAINS
from opcua_server.space import MachineSpace
from opcua_server.space.phases import OF_PHASES, PHASE_TO_PHASE, TOTAL
from opcua_server.space.types import HAS_INTERFACE
from tests.opcua_server.space.conftest import Tick

_A = ua.AttributeIds
BLOCK = "MachineryBuildingBlocks.Monitoring.Consumption"
FOLLOWED = {
    "Electricity.Main.AcActiveEnergyTotalImportLp": ("Power/Energy", 1.5, 1500.0),
    "Electricity.Main.AcActiveEnergyTotalImportHp": ("Power/Energy", 1.5, 1500.0),
    "Electricity.Main.AcReactiveEnergyTotalImportHp": ("Power/ReactiveEnergy", 0.75, 750.0),
    "CompressedAir.Main.Pressure": ("Air/Pressure", 5.5, 5.5),
    "CoolingLubricant.Main.VolumeFlowRate": ("Coolant/Flow", 21.0, 21.0),
    "CoolingLubricant.Main.Pressure": ("Coolant/Pressure", 4.5, 4.5),
    "CoolingLubricant.Main.Temperature": ("Coolant/Temperature", 27.5, 27.5),
}
"""Value -> the signal, what it shows, and what the value is then."""
METER = "Electricity.Main."
OF_THE_PHASES = {METER + name for name in (*OF_PHASES, PHASE_TO_PHASE, TOTAL)}


def shown(server: Server, machine: MachineSpace, path: str) -> ua.DataValue:
    node_id = ua.NodeId(f"{machine.identity.machine_id}.{path}", machine.node_id.NamespaceIndex)
    value: Any = server.iserver.aspace[node_id].attributes[_A.Value].value
    return value


def values_below(server: Server, machine: MachineSpace) -> list[str]:
    """All measured values of all metering points."""
    begin = f"{machine.identity.machine_id}.{BLOCK}."
    texts = [node_id.Identifier.removeprefix(begin) for node_id in machine.made if node_id.Identifier.startswith(begin)]
    return [text for text in texts if text.count(".") == 2 and not text.endswith("ApplicationTag")]


def test_every_value_is_that_of_its_signal_in_the_unit_of_the_interface(server: Server, machine: MachineSpace, tick: Tick) -> None:
    for signal, number, _ in FOLLOWED.values():
        tick.number(signal, number)
    machine.write(tick.next())
    assert {path: shown(server, machine, f"{BLOCK}.{path}").Value.Value for path in FOLLOWED} == {
        path: expected for path, (_, _, expected) in FOLLOWED.items()
    }
    kinds = {path: shown(server, machine, f"{BLOCK}.{path}").Value.VariantType for path in values_below(server, machine)}
    assert {path for path, kind in kinds.items() if kind is not ua.VariantType.Float} == {
        path for path in kinds if path.endswith(("Hp", "Pe", "Pp"))
    }


def test_nothing_but_what_never_flows_back_is_left_to_itself(server: Server, machine: MachineSpace) -> None:
    given_back = {
        METER + f"Ac{name}" for name in ("ActiveEnergyTotalExportLp", "ActiveEnergyTotalExportHp", "ReactiveEnergyTotalExportHp")
    }
    assert set(values_below(server, machine)) == {*FOLLOWED, *given_back, *OF_THE_PHASES}
    assert {shown(server, machine, f"{BLOCK}.{path}").Value.Value for path in given_back} == {0.0}


def test_the_phases_are_shown_as_structures_that_agree(server: Server, machine: MachineSpace, tick: Tick) -> None:
    mains = Mains()
    mains.show(1.0, 9_000.0, 2_500.0, (229.0, 231.5, 230.5))
    for known, number in zip(MAINS, mains.row(), strict=True):
        tick.number(known.signal, number / known.per)
    machine.write(tick.next())

    def three(name: str) -> list[float]:
        value = shown(server, machine, f"{BLOCK}.{METER}{name}").Value.Value
        return [getattr(value, field) for field in value.__dataclass_fields__]

    volts, amperes, active = three("AcVoltagePe"), three("AcCurrentPe"), three("AcActivePowerPe")
    apparent = [u * i for u, i in zip(volts, amperes, strict=True)]
    assert [math.hypot(p, q) for p, q in zip(active, three("AcReactivePowerPe"), strict=True)] == pytest.approx(apparent)
    assert [p / s for p, s in zip(active, apparent, strict=True)] == pytest.approx(three("AcPowerFactorPe"))
    assert three("AcReactivePowerPe") == pytest.approx(mains.reactive_var)
    assert shown(server, machine, f"{BLOCK}.{METER}AcActivePowerTotal").Value.Value == pytest.approx(11_500.0)
    assert three("AcVoltagePp") == pytest.approx([abs(cmath.rect(a, 0.0) - cmath.rect(b, math.tau / 3)) for a, b in zip(
        volts, (*volts[1:], volts[0]), strict=True)])  # fmt: skip
    bad = int(ua.StatusCodes.BadOutOfService)
    machine.write(tick.status("Power/CurrentL2", bad).next())
    broken = shown(server, machine, f"{BLOCK}.{METER}AcPowerFactorPe")
    assert (broken.StatusCode.value, broken.Value.Value) == (bad, None)


def test_the_profiles_that_are_claimed_have_their_members(server: Server, machine: MachineSpace) -> None:
    meter = server.iserver.aspace[ua.NodeId(f"CNC-001.{BLOCK}.Electricity.Main", machine.node_id.NamespaceIndex)]
    names = {server.iserver.aspace[one.NodeId].attributes[_A.BrowseName].value.Value.Value.Name
             for one in meter.references if one.ReferenceTypeId == HAS_INTERFACE}  # fmt: skip
    assert names == {"IEnergyProfileE0Type", "IEnergyProfileE2Type", "IEnergyProfileE3Type"}


def test_a_sensor_that_fails_makes_its_values_bad(server: Server, machine: MachineSpace, tick: Tick) -> None:
    bad = int(ua.StatusCodes.BadSensorFailure)
    machine.write(tick.number("Coolant/Flow", 20.0).status("Coolant/Flow", bad).next())
    value = shown(server, machine, f"{BLOCK}.CoolingLubricant.Main.VolumeFlowRate")
    assert value.StatusCode is not None
    assert value.StatusCode.value == bad
    assert shown(server, machine, f"{BLOCK}.CoolingLubricant.Main.Pressure").StatusCode == ua.StatusCode()
    machine.write(tick.status("Coolant/Flow", 0).next())
    assert shown(server, machine, f"{BLOCK}.CoolingLubricant.Main.VolumeFlowRate").Value.Value == np.float32(20.0)


@pytest.mark.parametrize("what", ["AccuracyClass", "Resource"])
def test_a_number_of_an_enumeration_is_explained(server: Server, machine: MachineSpace, what: str) -> None:
    for path in values_below(server, machine):
        place = f"{BLOCK}.{path}.{what}"
        number, known = (shown(server, machine, place + part).Value.Value for part in ("", ".EnumValues"))
        text = shown(server, machine, f"{place}.ValueAsText").Value.Value
        assert number > 0
        assert [row.DisplayName for row in known if row.Value == number] == [text]
        assert {row.DisplayName.Locale for row in known} == {"en"}


def test_metering_points_are_named_by_whoever_runs_the_machine(server: Server, machine: MachineSpace) -> None:
    saved = machine.plate.save()
    assert saved["Electricity ApplicationTag"] == ""
    machine.plate.restore({"Electricity ApplicationTag": "Hall 3, feeder 12"})
    assert shown(server, machine, f"{BLOCK}.Electricity.Main.ApplicationTag").Value.Value == "Hall 3, feeder 12"
    access = server.iserver.aspace[machine.plate.nodes[-1]].attributes[_A.AccessLevel].value
    assert access is not None
    assert access.Value.Value == 19  # read, write, and a change of its meaning is told
    machine.plate.restore(saved)
