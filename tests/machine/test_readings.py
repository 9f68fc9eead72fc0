"""What sensors say of many machines at once is what they say of each alone; the noise of it is that of the keyed streams."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from opcua_server.machine.noise import CHUNK, EVERY_BLOCK, Channel, Index, Noise, generator
from opcua_server.machine.readings import READ, ROWS, SENSORS, read


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32), st.integers(2, 40))
def test_a_machine_among_others_is_read_as_it_is_alone(seed: int, machines: int) -> None:
    """With speeds, loads, spalls, chipped teeth and chatter of all sizes, and machines that stand."""
    chance = np.random.default_rng(seed)
    true = chance.uniform(0.0, 100.0, (ROWS, machines))
    causes = true[len(SENSORS) : -2]
    # In the order of ``vibration.parts``.
    tops = np.array([12_000.0, 2.0, 900.0, 6.0, 400.0, 0.4, 1.0, 200.0, 1.0, 900.0, 0.2, 9.0])
    causes[:] = chance.uniform(0.0, 1.0, causes.shape) * tops[:, None]
    causes[:5, ::3] = 0.0
    causes[5:, ::2] = 0.0
    normal = chance.standard_normal((len(Channel), machines))
    together, states = read(true, normal)
    assert together.shape == (READ, machines)
    for k in range(machines):
        alone, state = read(true[:, k : k + 1].copy(), normal[:, k : k + 1].copy())
        assert together[:, k].tobytes() == alone[:, 0].tobytes()
        assert states.of(k) == state


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**31), st.integers(0, 40))
@settings(max_examples=20, deadline=None)
def test_noise_is_that_of_the_streams_keyed_by_seed_machine_channel_and_step(seed: int, machine: int, chunk: int) -> None:
    """Whether all of a step is looked at or only what every block needs, and in whichever order."""
    looked, hidden, begin = Noise(seed, machine), Noise(seed, machine), chunk * CHUNK
    expected = np.array([generator(seed, machine, channel, begin).standard_normal(CHUNK) for channel in Channel])
    for step in (CHUNK - 1, 0, 17):
        assert looked.at(begin + step) == looked.row(begin + step).tolist() == expected[:, step].tolist()
        assert hidden.needed(begin + step) == [expected[channel, step] for channel in EVERY_BLOCK]
    assert hidden.row(begin + 5).tolist() == expected[:, 5].tolist()
    for index, channel in vars(Index).items():
        assert index.startswith("_") or EVERY_BLOCK[channel] is Channel[index]
