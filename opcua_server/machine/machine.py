"""One machine: everything composed, in steps of 100 ms of its own time.

    faults --> Physics (this block's parameters)
    Motion --> commanded samples, events --> Controller --> spindle, coolant, tool, state
                     |                                        |
                     '--> Process (stock, forces, wear) <-----'
                             |--> Axes: actual positions, torque, power
                             |--> Spindle: speed, torque, power
                             '--> Thermal, Coolant, Air, Chips, Energy --> Sensing --> Shown: what the sensors say

A block is always 100 ms of machine time and always sees the same random numbers, so how ``advance`` is cut into calls changes
nothing. Pure: no clock, no files.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from nodesets.states import MachineState
from opcua_server.machine import energy, kept
from opcua_server.machine.auxiliaries import FallTimer, Hydraulics, lubrication_bar
from opcua_server.machine.begun import Begun, Passed
from opcua_server.machine.burst import burst
from opcua_server.machine.chips import ChipConveyor
from opcua_server.machine.controller import Controller
from opcua_server.machine.coolant import PUMP_WEAR, CoolantUnit
from opcua_server.machine.drawn import Drawn, add_heat, auxiliary_w, spindle_shown_w
from opcua_server.machine.faults.active import HEALTHY, ActiveFaults
from opcua_server.machine.mains import UNBALANCE, Grid, Mains
from opcua_server.machine.motion.axes import Axes as FeedDrives
from opcua_server.machine.motion.axes import AxisBlock, at_samples, drive, mean_load_percent, sums
from opcua_server.machine.motion.block import MotionBlock
from opcua_server.machine.motion.motion import Motion
from opcua_server.machine.motion.tracks import MOST
from opcua_server.machine.noise import BURST, GAUGE, PERSONALITY, Channel, Index, Noise, generator
from opcua_server.machine.parameters import SAMPLE_S, VF2
from opcua_server.machine.physics import Physics
from opcua_server.machine.pneumatics import AirUnit
from opcua_server.machine.process.load import TICK_S, TICKS
from opcua_server.machine.process.process import CutBlock, Process
from opcua_server.machine.process.stock import Stock
from opcua_server.machine.process.ticks import felt, forces
from opcua_server.machine.process.tips import tips_along
from opcua_server.machine.rigid_tap import RigidTap, Turning
from opcua_server.machine.sensing import Sensing, sense
from opcua_server.machine.sensors import DataLink
from opcua_server.machine.shown import Shown
from opcua_server.machine.spindle import Spindle, load_percent, rated_torque_nm
from opcua_server.machine.sums import added
from opcua_server.machine.thermal import BEARING, NODES, SCREW_X, SCREWS, Thermal, shop_floor_c
from opcua_server.machine.tools import magazine
from opcua_server.machine.upkeep import Upkeep
from opcua_server.machine.work import Library

BLOCK_S: Final = 0.1
SAMPLES: Final = 100
THERMAL_BLOCKS: Final = 10
"""Temperatures are followed once a second: a thousandth of the shortest time constant would be enough."""
CUT_VARIATION: Final = 0.05
"""Chips, runout and the material's grain: standard deviation of the cutting torque over a block."""
OVERLOAD: Final = 1.3
"""Cutting torque, of the rated torque at this speed, at which the drive's supervision stops the feed."""
STALLED: Final = 0.7
"""Speed in cut, of the commanded one, at which it does so too."""
NEEDS_COOLANT: Final = 0.8
"""Of what these edges cut, 0 for dry, 1 for flooded."""
LOW_PERCENT: Final = 8.0
"""Level of the coolant at which a program must not go on."""
PARKED: Final = (0.0, 0.0, 0.0)
STANDING_MM_S: Final = 0.02
"""An axis that is not faster stands."""
_RUNNING, _OFF, _EMERGENCY_STOP = MachineState.RUNNING, MachineState.OFF, MachineState.EMERGENCY_STOP
"""As names of this module: looking up a member of an enumeration costs more than most of what a block looks at."""

Floats = npt.NDArray[np.float64]


class Machine:
    """One simulated mill. ``number`` makes its random streams its own; ``seed`` those of the fleet."""

    def __init__(
        self, number: int, seed: int, programs: Mapping[str, str], program: str | None = None, *, repeat: bool = True
    ) -> None:
        """KeyError when ``program`` is not one of ``programs``."""
        if program is not None and program not in programs:
            raise KeyError(program)
        self.number, self.seed = number, seed
        born = generator(seed, number, PERSONALITY)
        self.mean_ambient_c = 21.5 + 0.8 * float(born.standard_normal())
        self.day_phase = float(born.uniform(0.0, 2.0 * math.pi))
        self.bearing_preload = 1.0 + 0.06 * float(born.standard_normal())
        self.balance = 0.9 + 0.3 * float(born.uniform())
        """Of the unbalance of tool and holder: how well this spindle and its balancing rings take it."""
        order = [str(name) for name in born.permutation(sorted(programs))]
        self.noise = Noise(seed, number)
        self.block = 0
        """Blocks since the machine was first switched on: the step of every random stream."""
        self.spindle, self.coolant = Spindle(), CoolantUnit(level_percent=80.0 + 14.0 * float(born.uniform()))
        self.coolant.filter_load = float(born.uniform())
        self.coolant.pump_wear = PUMP_WEAR * float(born.uniform())
        self.air, self.conveyor, self.link, self.sensing = AirUnit(), ChipConveyor(), DataLink(), Sensing()
        self.air_phase = (0.618 * number) % 1.0
        self.give_away = 1.0 + 0.3 * float(born.uniform(-0.5, 0.5))
        """Of this machine's metering valves, of the time constant in the middle of a fleet."""
        self.fall_timer = FallTimer()
        self.magazine, self.faults = magazine(seed, number), ActiveFaults()
        self.process, self.meter, self.tap = Process(), energy.EnergyMeter(), RigidTap()
        self.upkeep = Upkeep()
        self.thermal = Thermal(self.ambient_c(self.time_s))
        self.heat_w = [0.0] * NODES
        """W in each node, summed over the blocks since the temperatures moved on."""
        self.axes = FeedDrives(VF2.axes, PARKED)
        self._axis_faults = _SOUND_AXES
        self._lost_mm = 0.0
        """Counts that the scale of Y has lost since the axes were referenced."""
        self.ra_sum = self.ra_weight = 0.0
        self.parts_seen = 0
        """By the gauge beside the machine."""
        self.controller = Controller(
            lambda wait: Motion(VF2, PARKED, wait),
            Library(programs, order, program), self.spindle, self.coolant, self.magazine, self.faults,
            Hydraulics(leak=0.8 + 0.4 * float(born.uniform())), self.upkeep, self.air, repeat=repeat,
        )  # fmt: skip
        self.grid = Grid(born.uniform(0.0, 2.0 * math.pi, 3).tolist(), (UNBALANCE * born.uniform(-1.0, 1.0, 3)).tolist())
        self.mains = Mains(self.grid.volts(0.0))
        self.controller.prepare()
        self._state, self._energy_state = self.controller.state, self.energy_state
        """As in the last block: to look it up takes as long as much of what a block works out."""
        self.shown = Shown()
        self.spindle_power_w = self.power_error = 0.0
        """As the drive shows it, of the last block; and the error of that, as ``drawn`` has it."""
        self.overloaded_s = 0.0

    @property
    def time_s(self) -> float:
        """Machine time: since it was first switched on, over all restarts."""
        return self.block * BLOCK_S

    def ambient_c(self, now_s: float) -> float:
        """Of the shop at a moment of machine time."""
        return shop_floor_c(now_s, self.day_phase, self.mean_ambient_c)

    def step(self) -> None:
        """The next 100 ms."""
        self.run(1)

    def run(self, blocks: int) -> None:
        """That many times 100 ms. Of blocks that nobody looks at the axes are worked out several at a time.

        They are up to a second long: nothing else depends on what the axes do before the temperatures move on. Who asks for more
        than a second is in haste, and paths are worth more memory to him than to a server that lives in real time.
        """
        if blocks > THERMAL_BLOCKS:
            self.controller.motion.tracks.most = MOST
        begun: list[Begun] = []
        one = None
        for left in range(blocks, 0, -1):
            one = self.begin()
            if self._axes_change(one.physics):
                self._end_all(begun, seen=False)
                self._adapt_axes(one.physics)
            begun.append(one)
            seen = left == 1 or self._counts_matter(one.physics)
            if seen or self.block % THERMAL_BLOCKS == 0:
                self._end_all(begun, seen=seen)
        if one is not None:
            sense(self, one)

    def begin(self) -> Begun:
        """The next 100 ms without the axes; ``end`` must follow, at the latest when the temperatures are due."""
        return self.act(self.go(self.controller.motion.advance(SAMPLES)))

    def go(self, motion: MotionBlock) -> Passed:
        """Let control and tool go along the next block of the path; ``act`` must follow before anybody asks what came of it."""
        controller, physics = self.controller, self.faults.physics(self.block * BLOCK_S)
        self.block += 1
        controller.step(motion, BLOCK_S)
        if controller.state is not self._state:
            self._state, self._energy_state = controller.state, self.energy_state
        if controller.new_blank and controller.job is not None:
            controller.new_blank = False
            self.process.new_stock(Stock(controller.job.blank) if controller.job.blank else None)
        # In a dry run nobody clamps a blank; under machine lock the tool stays away from it.
        modifiers, job = controller.modifiers, controller.job
        tool = None if modifiers["DryRun"] or modifiers["TestMode"] else controller.tool
        tips = tips_along(motion, job.origin_mm if job is not None else None, controller.modal.tool_length)
        turning = self.tap.follow(motion)
        way = self.process.way(tips, tool, self.spindle.speed_rpm if turning is None else turning.full_rpm)
        return Passed(self.block, motion, physics, tool, way, self._state is _RUNNING, controller.locked_mm, turning)

    def act(self, passed: Passed) -> Begun:
        """What edge, spindle and surroundings do in a block."""
        physics, noise = passed.physics, self.noise.needed(passed.block - 1)
        self.upkeep.step(BLOCK_S, self.spindle.speed_rpm > 0.0, passed.running, self.coolant.on)
        cut = self._cut(passed)
        spindle_w, shaft_w, friction_w, torque = self._turn(cut, passed.turning, physics, noise[Index.CUT_VARIATION])
        self._surround(cut, physics, passed.block * BLOCK_S)
        drawn = Drawn(
            spindle_w, shaft_w, friction_w, cut.power_w, self.spindle.speed_rpm, energy.AUXILIARIES_W[self._energy_state],
            self.coolant.pump_power_w, self.conveyor.current_a, physics.column_heat_w, self.coolant.flow_l_min,
        )  # fmt: skip
        self._watch(cut)
        self._gauge(cut)
        self.link.step(physics.link_loss, passed.block, self.seed, self.number)
        return Begun(passed.block, passed.motion, cut, physics, noise, torque, drawn, passed.running, passed.locked_mm)

    def _end_all(self, begun: list[Begun], *, seen: bool) -> None:
        """Let the axes follow what has begun."""
        count = len(begun)
        if not count:
            return
        p = self.axes.columns
        force_n = forces(felt([one.cut.ticks for one in begun]))[0] if count > 1 else begun[0].cut.force_n[None]
        if self._axis_faults is _SOUND_AXES and begun[0].locked_mm is None:
            followed = drive(p, self.axes.state, [[one.motion for one in begun]], force_n)
        else:
            rows = np.concatenate([one.rows for one in begun], axis=1)
            followed = self.axes.follow(rows[:3], rows[3:], at_samples(force_n, 1, np.empty((3, SAMPLES * count))))
        watts, ways = sums(p, followed, count)
        for one, servo_w, way in zip(begun, watts.T.tolist(), ways.T.tolist(), strict=True):
            self.end(one, servo_w, way)
        if seen:
            last = (followed if count == 1 else followed.part(slice(-SAMPLES, None))).copy()
            load_percent = mean_load_percent(p, last, 1)[:, 0].tolist()
            self.look(begun[-1], AxisBlock(p, last, watts[:, -1].tolist(), load_percent))
        begun.clear()

    def sound(self, begun: Begun) -> bool:
        """Whether its axes are as they were built, so that they can be worked out among those of others."""
        adapted = self._axis_faults is not _SOUND_AXES or (begun.physics is not HEALTHY and self._axes_change(begun.physics))
        return not (adapted or begun.locked_mm is not None or self._counts_matter(begun.physics))

    @property
    def is_sound(self) -> bool:
        """As ``sound``, of a machine without faults."""
        return self._axis_faults is _SOUND_AXES and self._lost_mm == 0.0 and self.controller.locked_mm is None

    def end_alone(self, begun: Begun) -> None:
        """Finish a block whose axes are worked out by themselves, and let the sensors read."""
        if self._axes_change(begun.physics):
            self._adapt_axes(begun.physics)
        self._end_all([begun], seen=True)
        sense(self, begun)

    def end(self, begun: Begun, servo_w: Sequence[float], way_mm_s: Sequence[float]) -> None:
        """Finish what ``begin`` began with what each axis did: mean power (W), and speed (mm/s) summed up over the samples."""
        physics, drawn, noise, heat = begun.physics, begun.drawn, begun.noise, self.heat_w
        self.spindle_power_w, self.power_error = spindle_shown_w(
            drawn.spindle_w, drawn.cut_w, noise[Index.SPINDLE_POWER], self.power_error
        )
        drives_w = added(servo_w) if max(way_mm_s) >= self.powered_from_mm_s else 0.0
        self.meter.step(BLOCK_S, self.spindle_power_w, drives_w, auxiliary_w(drawn, noise[Index.AUXILIARY_POWER]))
        add_heat(heat, drawn)
        rubbing: Sequence[float] = SCREW_HEAT
        if physics.extra_friction != _EVEN:
            rubbing = tuple(one * more for one, more in zip(SCREW_HEAT, physics.extra_friction, strict=True))
        for axis in range(3):
            heat[SCREW_X + axis] += rubbing[axis] * way_mm_s[axis]
        if begun.block % THERMAL_BLOCKS == 0:
            self.end_second(begun)
        self.sensing.read(self, begun)

    @property
    def powered_from_mm_s(self) -> float:
        """Way of the fastest axis in a block, as of ``end``, from which on the drives have power. Their contactors are open when
        the machine is switched off, and at a stand after an emergency stop: the brake holds Z then, and no motor."""
        state = self.controller.state
        if state is _OFF:
            return math.inf
        return STANDING_MM_S * SAMPLES if state is _EMERGENCY_STOP else 0.0

    def end_second(self, begun: Begun) -> None:
        """The second is over that the block is the last of: the mains show it, and temperatures move on."""
        physics, seconds = begun.physics, BLOCK_S * THERMAL_BLOCKS
        self.mains.show(seconds, *self.meter.taken(), self.grid.volts(begun.block * BLOCK_S))
        mean_w = np.array(self.heat_w)
        mean_w /= THERMAL_BLOCKS
        self.thermal.step(seconds, mean_w, self.ambient_c(self.time_s), physics.spindle_cooling, physics.coolant_exchange)
        self.heat_w = [0.0] * NODES

    def look(self, begun: Begun, axes: AxisBlock) -> None:
        """What is shown of a block that has ended is what its axes did, as far as their scales count right."""
        if self._counts_matter(begun.physics):
            self._count(axes, begun.physics, self.noise.at(begun.block - 1))
            if begun.running and abs(self._lost_mm) > LOST_LIMIT_MM:
                self.controller.raise_alarm("SV0445", "SOFT DISCONNECT ALARM (Y)")  # motor encoder and scale disagree
                self._lost_mm = 0.0
        shown = self.shown
        shown.motion, shown.cut, shown.axes = begun.motion, begun.cut, axes
        shown.fault_severities = self.faults.severities(self.time_s)
        axes.screws_c = self.thermal.nodes[SCREWS].tolist()

    def lubrication_bar(self, now_s: float, physics: Physics) -> float:
        """In the main line of the way lubrication; the timer stands still with the control off."""
        return lubrication_bar(now_s, self.air_phase, self.give_away * physics.oil_holding)

    @property
    def spindle_load_percent(self) -> float:
        """Mean of the block."""
        return load_percent(self.spindle_power_w, self.spindle.speed_rpm)

    @property
    def energy_state(self) -> energy.EnergyState:
        return energy.BY_STATE[self.controller.state]

    # --- physics of a block ---------------------------------------------------------------------------------------
    def _cut(self, passed: Passed) -> CutBlock:
        physics, wet = passed.physics, self.coolant.wear_factor(NEEDS_COOLANT, passed.physics.coolant_concentration)
        speed = self.spindle.speed_rpm if passed.turning is None else passed.turning.full_rpm
        return self.process.cut(passed.way, passed.tool, speed, physics, wet, stalled=self.spindle.commanded_rpm > 0.0)

    def _turn(
        self, cut: CutBlock, turning: Turning | None, physics: Physics, variation: float
    ) -> tuple[float, float, float, float]:
        """Spindle over the block: electrical, shaft and friction power in W, torque in N·m, all mean."""
        spindle, bearing = self.spindle, self.thermal.nodes.item(BEARING)
        friction, speed = physics.bearing_friction * self.bearing_preload, spindle.speed_rpm
        factor = 1.0 + CUT_VARIATION * variation
        spindle.ticks = []
        seeks = spindle.stop_deg is not None and spindle.seeks
        if turning is None and speed == 0.0 and spindle.commanded_rpm == 0.0 and not seeks:
            spindle.step(BLOCK_S, 0.0, friction, bearing)
            return spindle.power_w, 0.0, 0.0, 0.0
        if turning is None and speed == spindle.target_rpm and not seeks and cut.most_torque_nm < rated_torque_nm(speed):
            # At speed every tick differs by its cutting torque only: one step with the mean is exact.
            spindle.step(BLOCK_S, factor * cut.mean_torque_nm, friction, bearing)
            return spindle.power_w, spindle.shaft_power_w, spindle.friction_w, spindle.torque_nm
        power = shaft = friction_w = torque = 0.0
        for tick, cut_nm in enumerate(cut.torque_nm):
            if turning is None:
                spindle.step(TICK_S, factor * cut_nm, friction, bearing)
            else:
                spindle.follow(TICK_S, *turning.ticks[tick], factor * cut_nm, friction, bearing)
            spindle.ticks.append((spindle.angle_deg, spindle.direction * 6.0 * spindle.speed_rpm))
            power += spindle.power_w
            shaft += spindle.shaft_power_w
            friction_w += spindle.friction_w
            torque += spindle.torque_nm
        return power / TICKS, shaft / TICKS, friction_w / TICKS, torque / TICKS

    def _surround(self, cut: CutBlock, physics: Physics, now_s: float) -> None:
        """Coolant, air and chips."""
        controller, stock, conveyor = self.controller, self.process.stock, self.conveyor
        chips_kg = cut.removed_mm3 * stock.blank.material.kg_mm3 if cut.removed_mm3 and stock is not None else 0.0
        conveyor.step(BLOCK_S, self._energy_state == "working", chips_kg, physics.conveyor_drag, physics.conveyor_slip)
        delivery = physics.pump_delivery * conveyor.strainer_share
        self.coolant.step(BLOCK_S, delivery, physics.pump_ripple, physics.coolant_leak_percent_h)
        turns = self.spindle.speed_rpm > 0.0
        self.air.step(BLOCK_S, now_s, self.air_phase, turns, controller.changing_tool, physics.air_loss)
        self.fall_timer.step(now_s, self.air_phase, self.give_away * physics.oil_holding)

    def _axes_change(self, physics: Physics) -> bool:
        return (physics.extra_backlash_mm, physics.extra_friction, physics.stick) != self._axis_faults

    def _adapt_axes(self, physics: Physics) -> None:
        faults = (physics.extra_backlash_mm, physics.extra_friction, physics.stick)
        self._axis_faults = _SOUND_AXES if faults == _SOUND_AXES else faults
        self.axes.parameters = tuple(
            dataclasses.replace(
                axis,
                backlash_mm=axis.backlash_mm + play,
                coulomb_friction_n=axis.coulomb_friction_n * friction,
                static_friction_ratio=axis.static_friction_ratio * stick,
            )
            for axis, play, friction, stick in zip(VF2.axes, *faults, strict=True)
        )

    def _counts_matter(self, physics: Physics) -> bool:
        """Whether the scale of Y loses counts, or has lost some: then every block is looked at."""
        return physics.lost_counts_per_m > 0.0 or self._lost_mm != 0.0

    def _count(self, axes: AxisBlock, physics: Physics, noise: list[float]) -> None:
        """Let the axes be as a soiled scale of Y says they are: each loss leaves it behind the way that was really made."""
        way_mm = float(axes.velocity_mm_s[:, Y].sum()) * SAMPLE_S
        chance = math.erfc(abs(noise[Channel.LOST_COUNTS]) / math.sqrt(2.0))  # uniform in 0..1
        if chance < physics.lost_counts_per_m * abs(way_mm) / 1000.0:
            self._lost_mm -= math.copysign(physics.lost_counts_mm, way_mm)
        if physics.lost_counts_per_m == 0.0 or self.controller.state is MachineState.EMERGENCY_STOP:
            self._lost_mm = 0.0  # repaired, or switched on anew: the axes are referenced
        axes.lost_mm = (0.0, self._lost_mm, 0.0)

    def _watch(self, cut: CutBlock) -> None:
        """Machine alarms: what the builder's ladder program looks at."""
        controller = self.controller
        spindle = self.spindle
        torque_nm = cut.mean_torque_nm
        too_heavy = torque_nm > 0.0 and torque_nm > OVERLOAD * rated_torque_nm(spindle.speed_rpm)
        stalled = self.process.engagement.area_mm2 > 0.0 and spindle.speed_rpm < STALLED * spindle.commanded_rpm
        stalled = stalled and not controller.thread  # it turns back at the bottom of the thread
        if too_heavy or stalled:
            self.overloaded_s += BLOCK_S
        elif self.overloaded_s > 0.0:
            self.overloaded_s = max(self.overloaded_s - 0.2 * BLOCK_S, 0.0)
        if controller.state is not _RUNNING:
            return
        if self.overloaded_s > 0.25:
            controller.raise_alarm("EX1005", "SPINDLE OVERLOAD", details={"Tool": controller.tool_number})
        if self.coolant.level_percent < LOW_PERCENT and self.coolant.on and controller.state is _RUNNING:
            controller.raise_alarm("EX1020", "COOLANT LEVEL LOW")
        if controller.state is _RUNNING:
            if self.air.low_s > 0.5:
                controller.raise_alarm("EX1030", "AIR PRESSURE LOW")
            if self.conveyor.over_s > 5.0:
                controller.raise_alarm("EX1040", "CHIP CONVEYOR OVERLOAD")

    def _gauge(self, cut: CutBlock) -> None:
        """Mean roughness of what a part's cuts left; the gauge beside the machine reads it when the part is done."""
        if cut.roughness_um > 0.0:
            self.ra_sum += cut.roughness_um * cut.in_cut_s
            self.ra_weight += cut.in_cut_s
        parts = self.controller.parts
        if parts != self.parts_seen:
            if self.ra_weight > 0.0:
                error = float(generator(self.seed, self.number, GAUGE, parts).standard_normal())
                self.shown.part_roughness_um = self.ra_sum / self.ra_weight * math.exp(0.06 * error)
            self.parts_seen, self.ra_sum, self.ra_weight = parts, 0.0, 0.0

    # --- on demand ------------------------------------------------------------------------------------------------
    def vibration_burst(self, seconds: float) -> Floats:
        """Acceleration at the front bearing in m/s2 at 25.6 kHz, as of the last block: the signal behind the features.

        Asking for it changes nothing: its random numbers are those of the block and of no other stream.
        """
        return burst(self.sensing.vibration, seconds, generator(self.seed, self.number, BURST, self.block))

    def save(self) -> dict[str, Any]:
        """What survives a restart (``kept``)."""
        return kept.save(self)

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Take up a ``save``; the axes stand at home and no program runs. ValueError when it is of another version."""
        kept.restore(self, saved)


Y: Final = 1
LOST_LIMIT_MM: Final = 0.12
"""Difference of motor encoder and scale, beyond growth and play, at which the control trips."""
_EVEN: Final = (1.0, 1.0, 1.0)
_SOUND_AXES: Final = ((0.0, 0.0, 0.0), _EVEN, _EVEN)
SCREW_HEAT: Final = (260.0 / SAMPLES / 1000.0, 300.0 / SAMPLES / 1000.0, 280.0 / SAMPLES / 1000.0)
"""W in nut and screw of X, Y, Z per mm/s summed over the samples: part of each axis' friction of 260, 300 and 280 N."""
