"""Vibration: lines by the bearing's geometry, and a waveform that says what the features say."""

from __future__ import annotations

import numpy as np
import pytest

from opcua_server.machine.bearing import FRONT, Bearing
from opcua_server.machine.burst import RATE_HZ, Floats, burst, line, measure
from opcua_server.machine.vibration import Parts, Vibration, features, parts

from .running import COLUMN, DEMOS, run, source


def test_lines_of_a_6205_are_those_of_the_textbook_and_the_two_of_the_ball_have_names_of_their_own() -> None:
    lines = (FRONT.cage, FRONT.outer_race, FRONT.inner_race, FRONT.ball_spin, FRONT.ball_defect)
    assert lines == pytest.approx((0.3983, 3.5848, 5.4152, 2.3565, 4.7131), rel=1e-3)


def test_contact_angle_and_size_enter_as_geometry_says() -> None:
    """A cage that rolls without slip: what the balls do on both races adds up, at any angle."""
    for bearing in (FRONT, Bearing(16, 12.7, 82.5, 15.0), Bearing(21, 9.5, 70.0, 25.0)):
        assert bearing.outer_race + bearing.inner_race == pytest.approx(bearing.balls)
        assert bearing.outer_race == pytest.approx(bearing.balls * bearing.cage)
        rolled = bearing.pitch_mm / bearing.ball_mm - bearing.ball_mm / bearing.pitch_mm
        if bearing.contact_deg == 0.0:
            assert bearing.ball_defect == pytest.approx(rolled)
        else:
            assert bearing.ball_defect > rolled  # a smaller ratio spins faster


STATES = {
    "idle at 6000": parts(6000.0, 0.4, 0.0, 4, 0.0, 0.0, 0.0),
    "cutting at 4400": parts(4400.0, 0.4, 300.0, 4, 12.0, 0.1, 0.0),
    "spall of 0.5 at 6000": parts(6000.0, 0.4, 0.0, 4, 0.0, 0.0, 0.5),
    "spall of 0.7 in a cut at 8000": parts(8000.0, 0.4, 200.0, 3, 40.0, 0.1, 0.7),
    "spall of 1 at 6000": parts(6000.0, 0.4, 0.0, 4, 0.0, 0.0, 1.0),
    "spall of 0.8 at 2500": parts(2500.0, 0.4, 50.0, 3, 20.0, 0.0, 0.8),
    "loose nose at 4400": parts(4400.0, 0.4, 300.0, 4, 12.0, 0.1, 0.0, rings_on=3.0),
    "chatter at 4400": parts(4400.0, 0.4, 300.0, 4, 12.0, 0.1, 0.0, chatter=0.7, chatter_hz=830.0, chip_mm=0.06),
}


def _measured(state: Parts, seconds: float = 0.5, times: int = 12) -> Vibration:
    """Mean of what a monitor finds in some bursts of one state."""
    random = np.random.default_rng(4)
    teeth = round(state.tooth_hz / state.turn_hz)
    found = [measure(burst(state, seconds, random), state.turn_hz * 60.0, teeth) for _ in range(times)]
    return Vibration(*(float(np.mean([getattr(one, name) for one in found])) for name in Vibration._fields))


@pytest.mark.parametrize("name", list(STATES))
def test_a_monitor_finds_in_the_waveform_what_the_features_say(name: str) -> None:
    state = STATES[name]
    expected, found = features(state), _measured(state)
    assert found.acceleration_rms_m_s2 == pytest.approx(expected.acceleration_rms_m_s2, rel=0.02)
    assert found.velocity_rms_mm_s == pytest.approx(expected.velocity_rms_mm_s, rel=0.07)
    assert found.kurtosis == pytest.approx(expected.kurtosis, rel=0.08)
    if state.tooth_m_s2 > 0.2:
        assert found.tooth_line_m_s2 == pytest.approx(expected.tooth_line_m_s2, rel=0.05)
    if state.impacts_m_s2 > 0.0:
        assert found.bearing_line_m_s2 == pytest.approx(expected.bearing_line_m_s2, rel=0.2)
    else:
        # Without a spall there is only what leaks: of the waveform not more than the features reckon with.
        assert found.bearing_line_m_s2 < 1.2 * expected.bearing_line_m_s2
    if state.turn_mm_s > 0.1 and state.impacts_m_s2 < 0.5:
        assert found.unbalance_mm_s == pytest.approx(expected.unbalance_mm_s, rel=0.2)


def test_the_envelope_of_a_damaged_bearing_has_its_line_where_the_geometry_puts_it() -> None:
    """Within the resolution of a four-second record: 0.1 % of the outer race's line."""
    speed_rpm = 6000.0
    state = parts(speed_rpm, 0.4, 0.0, 4, 0.0, 0.0, 0.6)
    signal = burst(state, 4.0, np.random.default_rng(1))
    envelope = _envelope(signal)
    spectrum = np.abs(np.fft.rfft(envelope * np.hanning(len(envelope)), 4 * len(envelope)))
    hertz = np.arange(len(spectrum)) * RATE_HZ / (4 * len(envelope))
    near = (hertz > 340.0) & (hertz < 380.0)
    peak = float(hertz[near][np.argmax(spectrum[near])])
    assert peak == pytest.approx(speed_rpm / 60.0 * 3.5848, rel=1e-3)
    for other in (FRONT.inner_race, FRONT.ball_spin, FRONT.ball_defect):
        assert line(envelope, speed_rpm / 60.0 * other) < 0.1 * line(envelope, peak)


def _envelope(signal: Floats) -> Floats:
    spectrum = np.fft.fft(signal)
    hertz = np.fft.fftfreq(len(signal), 1.0 / RATE_HZ)
    band = np.abs(np.fft.ifft(np.where((hertz > 2000.0) & (hertz < 6000.0), 2.0 * spectrum, 0.0)))
    return np.asarray(band - band.mean(), dtype=np.float64)


def test_chatter_stands_in_the_spectrum_near_the_natural_frequency_and_at_no_tooth_line() -> None:
    state = STATES["chatter at 4400"]
    signal = burst(state, 2.0, np.random.default_rng(1))
    spectrum = np.abs(np.fft.rfft(signal * np.hanning(len(signal))))
    peak = float(np.argmax(spectrum)) * RATE_HZ / len(signal)
    assert peak == pytest.approx(830.0, abs=1.0)
    assert abs(peak / state.tooth_hz - round(peak / state.tooth_hz)) > 0.1


def test_a_burst_on_demand_is_of_this_moment_repeats_and_disturbs_nothing() -> None:
    one, other = (source(DEMOS, program="contour.nc", seed=3) for _ in range(2))
    for machine in (one, other):
        machine.call("InjectFault", ["spindle_bearing", 0.7, 0.0])
        run(machine, 25.0)
    bursts = [one.machine.vibration_burst(0.5) for _ in range(2)]
    assert bursts[0].tobytes() == bursts[1].tobytes()
    assert len(bursts[0]) == RATE_HZ // 2
    rows = run(one, 3.0)
    assert rows.tobytes() == run(other, 3.0).tobytes()
    assert other.machine.vibration_burst(0.1).tobytes() != bursts[0][: RATE_HZ // 10].tobytes()
    measured = np.sqrt(np.mean(one.machine.vibration_burst(1.0) ** 2))
    assert measured == pytest.approx(rows[-1, COLUMN["Spindle/VibrationAcceleration"]], rel=0.15)
