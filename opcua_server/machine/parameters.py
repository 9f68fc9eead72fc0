"""Machines as numbers: limits of the axes, how exactly the path is kept, servo, friction and screw.

Everything is frozen: a fault, a worn machine or another maker's mill is the same object with other numbers
(``dataclasses.replace``). Lengths in mm, times in s, angles in degrees, forces in N, temperatures in degrees Celsius.
"Handbook" marks what is common knowledge of the class and no data sheet.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from nodesets.catalogue import TRAVEL_MM

AXES: Final = ("X", "Y", "Z")
SAMPLE_S: Final = 0.001
"""Cycle of the interpolator and of the position loop, s."""


@dataclass(frozen=True, slots=True)
class AxisLimits:
    """What one axis may do."""

    travel_mm: tuple[float, float]
    """Machine coordinates it can reach."""
    velocity_mm_s: float
    acceleration_mm_s2: float


@dataclass(frozen=True, slots=True)
class Overlap:
    """How a control joins moves that passes corners in one cycle of its interpolator, as LinuxCNC's planner does.

    It takes a corner as smooth if the direction's jump within one cycle asks for less than ``reserve`` of an axis's
    acceleration, rounds a corner in a plane by an arc, and lets other moves overlap.
    """

    reserve: float
    """Share of the acceleration that moves at a smooth corner (rapids: at any corner) keep back at most."""
    arc_share: float
    """Part of the acceleration across the path that arcs get."""
    merge_s: float
    """What is left of a line between two corners and passed in less time belongs to the corner after it."""
    queue_blocks: int
    """Its queue takes so many blocks, rounded corners among them, and is filled again when it is empty: the path stands there."""


@dataclass(frozen=True, slots=True)
class PathParameters:
    """How the control plans a path."""

    corner_tolerance_mm: float
    """How far a corner between two cutting moves may be rounded off (G64): the d of v^2 = a d s / (1 - s)."""
    jerk_mm_s3: float | None
    """No axis exceeds it; None plans trapezoids. The filter's length follows from it: 2 a / jerk, the worst case being a
    straight change from full braking to full acceleration."""
    block_time_s: float = 0.001
    """Shortest time of a block: what the control needs to prepare the next one."""
    exact_stop_s: float = 0.0
    """Wait for "in position" after an exact stop, on top of the filter running empty."""
    overlap: Overlap | None = None
    """None: every rapid is complete in itself, and every corner between cutting moves is rounded in the same way. Otherwise
    as there; also rapids in one direction run through."""
    stops_at_m_codes: bool = True
    """Whether the path stands for spindle, coolant and messages. False: they are passed over and motion reports none."""
    lookahead_blocks: int = 400
    """How many blocks are planned together at most."""
    max_feed_override: float = 1.5
    dry_run_mm_s: float = 80.0
    """Feed in dry run."""
    tapping_rad_s2: float = 750.0
    """Angular acceleration of the spindle in rigid tapping: the axis speeds up and brakes so that a spindle can keep step. One of
    15 kW and 0.042 kg m2 has it up to 6,000 r/min, and below 3,000 as much again for the cut."""
    tapping_rpm: float = 6000.0
    """Highest speed of it."""


@dataclass(frozen=True, slots=True)
class AxisParameters:
    """Servo, friction, screw and motor of one axis. Sources: see ``VF2``."""

    kv_per_s: float
    """Gain of the position loop: following error = v (1 - k_ff) / Kv."""
    velocity_feed_forward: float
    """k_ff, 0 to 1."""
    servo_stiffness_n_per_mm: float
    """Force per dynamic deviation: how far a sudden force pushes the axis before the velocity loop's integrator answers."""
    disturbance_rise_s: float
    disturbance_decay_s: float
    """The push of a force step builds up and fades with these."""
    moving_mass_kg: float
    weight_n: float
    """Part of the weight the drive carries (vertical axis, after counterbalance)."""
    coulomb_friction_n: float
    static_friction_ratio: float
    """Fs / Fc."""
    stribeck_velocity_mm_s: float
    viscous_friction_n_s_per_mm: float
    presliding_mm: float
    """Way over which friction turns round after a reversal."""
    backlash_mm: float
    """Lost motion between motor encoder and scale."""
    pitch_error_um_per_m: float
    """Slope of the error of the uncompensated screw."""
    pitch_wave_um: float
    """Amplitude of the error that repeats with each turn of the screw."""
    growth_um_per_m_k: float
    """Thermal growth of the screw."""
    fixed_end_mm: float
    """Machine coordinate of the fixed bearing, from where the screw grows."""
    reference_temperature_c: float
    lead_mm: float
    """Way per turn of the motor, which is coupled directly."""
    screw_efficiency: float
    rotor_inertia_kg_m2: float
    """Motor, coupling and screw."""
    rated_torque_nm: float
    torque_constant_nm_per_a: float
    winding_resistance_ohm: float
    regeneration_efficiency: float
    """Part of the braking power that comes back to the supply."""
    standby_power_w: float


@dataclass(frozen=True, slots=True)
class MachineParameters:
    """One machine, as far as motion and axes go. ``limits`` and ``axes`` are in the order X, Y, Z."""

    name: str
    limits: tuple[AxisLimits, AxisLimits, AxisLimits]
    path: PathParameters
    axes: tuple[AxisParameters, AxisParameters, AxisParameters]


def _axis(
    *, mass_kg: float, friction_n: float, fixed_end_mm: float, weight_n: float = 0.0, pitch_um_per_m: float = 4.0
) -> AxisParameters:
    """An axis of a 40-taper mill: direct coupled servo motor on a 12 mm screw.

    Following error over velocity, 1 / 127 s = 7.9 ms, and no feed-forward as measured on a real mill of the UMich data set
    (7.5-8.3 ms). Friction, backlash, pitch error, growth: handbook ranges for a healthy machine (Fc 200-500 N, Fs / Fc
    1.2-1.5, vs 1-5 mm/s; backlash 1-3 um; 3-8 um/m; 11.5 um/m/K for steel). Motor: class of 11 N m servo motors, handbook.
    """
    return AxisParameters(
        kv_per_s=127.0,
        velocity_feed_forward=0.0,
        servo_stiffness_n_per_mm=90_000.0,
        disturbance_rise_s=0.002,
        disturbance_decay_s=0.008,
        moving_mass_kg=mass_kg,
        weight_n=weight_n,
        coulomb_friction_n=friction_n,
        static_friction_ratio=1.3,
        stribeck_velocity_mm_s=2.5,
        viscous_friction_n_s_per_mm=0.6,
        presliding_mm=0.02,
        backlash_mm=0.002,
        pitch_error_um_per_m=pitch_um_per_m,
        pitch_wave_um=0.8,
        growth_um_per_m_k=11.5,
        fixed_end_mm=fixed_end_mm,
        reference_temperature_c=20.0,
        lead_mm=12.0,
        screw_efficiency=0.9,
        rotor_inertia_kg_m2=0.0032,
        rated_torque_nm=11.0,
        torque_constant_nm_per_a=1.2,
        winding_resistance_ohm=0.35,
        regeneration_efficiency=0.75,
        standby_power_w=18.0,
    )


VF2_AXES: Final = (
    _axis(mass_kg=380.0, friction_n=300.0, fixed_end_mm=20.0, pitch_um_per_m=5.0),
    _axis(mass_kg=620.0, friction_n=380.0, fixed_end_mm=20.0, pitch_um_per_m=4.0),
    _axis(mass_kg=290.0, friction_n=320.0, fixed_end_mm=40.0, weight_n=650.0, pitch_um_per_m=6.0),
)

VF2: Final = MachineParameters(
    name="vf2",
    # 25.4 m/min and 3-4 m/s2 (handbook, VF-2 class); the jerk is of the class of box-way and linear-guide mills.
    limits=(
        AxisLimits(TRAVEL_MM["X"], 25400.0 / 60.0, 3500.0),
        AxisLimits(TRAVEL_MM["Y"], 25400.0 / 60.0, 3500.0),
        AxisLimits(TRAVEL_MM["Z"], 25400.0 / 60.0, 3000.0),
    ),
    path=PathParameters(corner_tolerance_mm=0.02, jerk_mm_s3=175_000.0, exact_stop_s=0.010),
    axes=VF2_AXES,
)
"""The machine that is simulated unless another is asked for."""

_ANYWHERE: Final = (-1e9, 1e9)
REFERENCE: Final = MachineParameters(
    name="reference",
    # The machine behind the reference cycle times: LinuxCNC's planner with these limits, straight-line rapids, blending
    # within 0.01 mm, trapezoidal velocity, no travel limits.
    limits=(
        AxisLimits(_ANYWHERE, 423.333, 4000.0),
        AxisLimits(_ANYWHERE, 423.333, 4000.0),
        AxisLimits(_ANYWHERE, 423.333, 3000.0),
    ),
    # Measured in its times: a stop ends in a whole cycle and the next move begins in another (1.2 ms on average); spindle and
    # coolant codes do not stop the path; its queue of 100 blocks runs empty before it is filled again (the times of exact stop at
    # every block, which corners do not touch, show it on chains of short blocks). Of its rules: a block lasts 1.02 cycles at least;
    # a tenth of the acceleration is kept for a kink; an arc that runs on gets half of the 0.866 that one alone gets; less than four
    # cycles of line between two corners belong to the corner. The times are without override.
    path=PathParameters(
        corner_tolerance_mm=0.01,
        jerk_mm_s3=None,
        block_time_s=0.00102,
        exact_stop_s=0.0012,
        overlap=Overlap(reserve=0.1, arc_share=0.433, merge_s=0.004, queue_blocks=100),
        stops_at_m_codes=False,
        max_feed_override=1.0,
    ),
    axes=VF2_AXES,
)


def _rated(
    name: str, travel_mm: tuple[float, float, float], rapid_m_min: float, acceleration_m_s2: tuple[float, float, float], jerk: float
) -> MachineParameters:
    """A machine of which only the rated figures are known: for cycle times. Servo, friction and screws are those of ``VF2``.

    ``jerk`` in mm/s3 is of the class of the machine and no data sheet's. Travels from 0 downwards, as on ``VF2``.
    """
    x, y, z = (
        AxisLimits((-reach, 0.0), rapid_m_min * 1000.0 / 60.0, a * 1000.0)
        for reach, a in zip(travel_mm, acceleration_m_s2, strict=True)
    )
    path = PathParameters(corner_tolerance_mm=0.02, jerk_mm_s3=jerk, exact_stop_s=0.005)
    return MachineParameters(name=name, limits=(x, y, z), path=path, axes=VF2_AXES)


DMU50: Final = _rated("dmu50", (500.0, 450.0, 400.0), 42.0, (6.0, 6.0, 5.0), 300_000.0)
"""DMG Mori DMU 50, its three linear axes: 42 m/min, 5-6 m/s2 (handbook)."""
VCN530C: Final = _rated("vcn530c", (1050.0, 530.0, 510.0), 42.0, (5.0, 5.0, 5.0), 250_000.0)
"""Mazak VCN-530C: 42 m/min (handbook). Its acceleration is not published; 5 m/s2 is of mills with that rapid."""
ROBODRILL: Final = _rated("robodrill", (500.0, 400.0, 330.0), 54.0, (10.0, 10.0, 15.0), 800_000.0)
"""FANUC Robodrill class, a 30-taper drilling centre: 54 m/min, 10-15 m/s2 (handbook)."""

MACHINES: Final = MappingProxyType({machine.name: machine for machine in (VF2, REFERENCE, DMU50, VCN530C, ROBODRILL)})
"""Machines by name, as ``--machine`` takes them."""
