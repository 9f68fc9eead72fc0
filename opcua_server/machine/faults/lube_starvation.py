"""A clogged distributor lets guides and nuts run dry, X most: more friction at low speed, stick-slip at reversals, warmer screws.

The drives need 20 to 60 % more current at low speed; at rapid most of the torque is inertia, and little is seen. After a stroke of
oil the pressure in the main line falls more slowly, by no more at first than machines differ.
"""

from __future__ import annotations

from opcua_server.machine.faults.fault import Expected, Fault, accelerating
from opcua_server.machine.physics import Physics


def _act(physics: Physics, severity: float) -> None:
    physics.oil_holding = 1.0 + 0.8 * severity**1.5
    for axis, share in enumerate((1.0, 0.7, 0.4)):
        physics.extra_friction = _scaled(physics.extra_friction, axis, 1.0 + 0.6 * severity**1.5 * share)
        physics.stick = _scaled(physics.stick, axis, 1.0 + 0.35 * severity * share)


def _scaled(values: tuple[float, float, float], axis: int, factor: float) -> tuple[float, float, float]:
    x, y, z = (value * factor if k == axis else value for k, value in enumerate(values))
    return (x, y, z)


FAULT = Fault(
    "lube_starvation",
    "Lubrication starvation",
    "axes.lubrication.distributor",
    accelerating,
    _act,
    (
        Expected("Axes/X/ActLoad", "up"),
        Expected("Axes/X/Temperature", "up"),
    ),
)
