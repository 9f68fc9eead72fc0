"""Frames, ranges, encoded values and the channel's keys, without a socket."""

from __future__ import annotations

import contextlib
import hmac
import struct
from datetime import UTC, datetime
from typing import Any

import pytest
from asyncua import ua
from asyncua.crypto.uacrypto import p_sha256 as asyncua_p_sha256
from asyncua.server.address_space import AddressSpace, AttributeValue, NodeData
from asyncua.ua.ua_binary import struct_to_binary
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from hypothesis import given
from hypothesis import strategies as st

from opcua_server.engine import frames, ranges
from opcua_server.engine.contract import ServiceFault
from opcua_server.engine.frames import Assembler, ProtocolError, follows, next_sequence
from opcua_server.engine.policies import Keys, p_sha256
from opcua_server.engine.values import Values, encode_data_value, without_times

MOMENTS = st.none() | st.datetimes(datetime(1700, 1, 1), datetime(2900, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))
NUMBERS = st.floats(allow_nan=False).map(lambda number: ua.Variant(number, ua.VariantType.Double))
TEXTS = st.text(max_size=20).map(lambda text: ua.Variant(text, ua.VariantType.String))
ARRAYS = st.lists(st.integers(-(2**31), 2**31 - 1), max_size=5).map(
    lambda numbers: ua.Variant(numbers, ua.VariantType.Int32, is_array=True)
)
STATUSES = st.sampled_from([0, 0x40000000, 0x80320000]).map(ua.StatusCode)
VALUES = st.builds(
    lambda value, status, source, server: ua.DataValue(value, status, source, server),
    NUMBERS | TEXTS | ARRAYS | st.none(), STATUSES | st.none(), MOMENTS, MOMENTS,
)  # fmt: skip


@given(VALUES)
def test_a_value_is_encoded_as_asyncua_does(value: Any) -> None:
    assert encode_data_value(value) == struct_to_binary(value)


@given(VALUES, st.integers(0, 3))
def test_timestamps_are_cut_off_the_encoded_value(value: Any, timestamps: int) -> None:
    source, server = timestamps in (0, 2), timestamps in (1, 2)
    kept = ua.DataValue(
        value.Value, value.StatusCode, value.SourceTimestamp if source else None, value.ServerTimestamp if server else None
    )
    assert without_times(encode_data_value(value), timestamps) == encode_data_value(kept)


@given(st.binary(max_size=80))
def test_whatever_a_hello_is_it_is_granted_or_refused(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        sizes = frames.hello(data)
        assert 8_192 <= sizes.receive <= 65_535
        assert 8_192 <= sizes.send <= 65_535


@given(st.binary(min_size=8, max_size=40))
def test_whatever_a_frame_is_its_size_is_within_the_buffer(data: bytes) -> None:
    with contextlib.suppress(ProtocolError):
        kind, _chunk, size = frames.peek(data, 0, 10_000)
        assert kind in (b"HEL", b"OPN", b"MSG", b"CLO")
        assert 12 <= size <= 10_000


@given(st.lists(st.binary(max_size=50), min_size=1, max_size=8))
def test_chunks_give_their_message(parts: list[bytes]) -> None:
    assembler = Assembler()
    for part in parts[:-1]:
        assert assembler.add(frames.INTERMEDIATE, 5, part, 1_000, 10) is None
    assert assembler.add(frames.FINAL, 5, parts[-1], 1_000, 10) == b"".join(parts)


def test_chunks_of_two_messages_are_not_mixed() -> None:
    assembler = Assembler()
    assembler.add(frames.INTERMEDIATE, 5, b"a", 100, 10)
    with pytest.raises(ProtocolError):
        assembler.add(frames.FINAL, 6, b"b", 100, 10)


@pytest.mark.parametrize(("size", "chunks"), [(60, 1), (1, 3)])
def test_messages_are_bounded_in_bytes_and_chunks(size: int, chunks: int) -> None:
    assembler = Assembler()
    for _ in range(chunks):
        assembler.add(frames.INTERMEDIATE, 5, bytes(size), 100, 3)
    with pytest.raises(ProtocolError):
        assembler.add(frames.INTERMEDIATE, 5, bytes(size), 100, 3)


def test_sequence_numbers_wrap_where_the_standard_lets_them() -> None:
    assert next_sequence(4_294_966_271) == 4_294_966_272
    assert next_sequence(4_294_966_272) == 1
    assert follows(4_294_966_272, 1_023)
    assert not follows(4_294_966_272, 1_024)
    assert not follows(4_294_966_271, 1)
    assert not follows(4_294_967_295, 2_000)
    assert not follows(1_000, 5)
    assert not follows(7, 7)


@given(st.integers(1, 2**32 - 1))
def test_the_number_after_one_of_ours_is_one_that_we_would_take(last: int) -> None:
    assert follows(last, next_sequence(last))


@given(st.binary(min_size=1, max_size=40), st.binary(min_size=1, max_size=40), st.integers(1, 200))
def test_keys_are_derived_as_asyncua_derives_them(secret: bytes, seed: bytes, size: int) -> None:
    assert (p_sha256(secret, seed, size),) == tuple(asyncua_p_sha256(secret, seed, (size,)))


@given(st.text(alphabet="0123456789:,x- ", max_size=20))
def test_a_range_is_read_or_refused(text: str) -> None:
    refused = 0
    bounds: list[tuple[int, int]] = []
    try:
        bounds = ranges.parse(text)
    except ServiceFault as fault:
        refused = fault.status
    assert refused in (0, ua.StatusCodes.BadIndexRangeInvalid)
    assert bool(bounds) != bool(refused)
    assert all(low <= high for low, high in bounds)


def test_ranges_take_parts_of_arrays_matrices_and_text() -> None:
    array = ua.Variant([1, 2, 3], ua.VariantType.Int32, is_array=True)
    assert ranges.cut(array, ranges.parse("1:9")).Value == [2, 3]
    matrix = ua.Variant([[1, 2], [3, 4]], ua.VariantType.Int32, [2, 2], is_array=True)
    part = ranges.cut(matrix, ranges.parse("1,0:1"))
    assert (part.Value, part.Dimensions) == ([[3, 4]], [1, 2])
    assert ranges.cut(ua.Variant("spindle", ua.VariantType.String), ranges.parse("0:2")).Value == "spi"
    for variant, text in ((array, "5"), (array, "0,0"), (ua.Variant(1.0, ua.VariantType.Double), "0")):
        with pytest.raises(ServiceFault):
            ranges.cut(variant, ranges.parse(text))


def test_who_watches_a_slot_hears_of_each_value_and_no_more_after() -> None:
    aspace = AddressSpace()
    node_id = ua.NodeId("x", 2)
    node = NodeData(node_id)
    held = AttributeValue(ua.DataValue(ua.Variant(1.0), ServerTimestamp=datetime.now(UTC)))
    node.attributes[ua.AttributeIds.Value] = held
    aspace[node_id] = node
    slot = Values(aspace).slot(node_id)
    heard: list[Any] = []

    def changed(slot: Any) -> None:
        heard.append(slot.value.Value.Value)

    slot.watch(changed)
    slot.watch(heard.append)
    slot.unwatch(heard.append)
    held.value = ua.DataValue(ua.Variant(2.0))
    before = slot.encoded()
    held.value = ua.DataValue(ua.Variant(3.0))
    assert slot.encoded() != before
    slot.unwatch(changed)
    held.value = ua.DataValue(ua.Variant(4.0))
    assert heard == [2.0, 3.0]
    assert type(held) is AttributeValue
    assert struct.pack("<d", 4.0) in slot.encoded()


def sealed(keys: Keys, plain: bytes, *, encrypts: bool = True) -> bytes:
    """A chunk of channel 7 under token 9. ``plain``: its sequence header, and a body in two parts."""
    numbers = 7, 9, *struct.unpack("<II", plain[:8])
    return keys.seal(b"F", numbers, (plain[8:11], plain[11:]), len(plain) - 8, 0, encrypts=encrypts)


@given(
    st.binary(min_size=16, max_size=16),
    st.binary(min_size=16, max_size=16),
    st.lists(st.binary(min_size=8, max_size=100), min_size=1, max_size=5),
)
def test_messages_of_one_token_are_encrypted_as_if_each_had_a_cipher_of_its_own(
    key: bytes, iv: bytes, messages: list[bytes]
) -> None:
    ours, theirs = (Keys(b"s" * 32, key, iv) for _ in range(2))
    for plain in messages:
        frame = sealed(ours, plain)
        padding = bytes([-(len(plain) + 1 + 32) % 16])
        signed = struct.pack("<4sIII", b"MSGF", len(frame), 7, 9) + plain + padding * (padding[0] + 1)
        whole = signed[16:] + hmac.digest(b"s" * 32, signed, "sha256")
        alone = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        assert frame == signed[:16] + alone.update(whole) + alone.finalize()
        assert theirs.open(frame, 0, encrypts=True) == plain


@given(st.binary(min_size=8, max_size=100), st.data())
def test_a_frame_that_was_changed_anywhere_is_refused_and_the_next_is_read_all_the_same(plain: bytes, data: st.DataObject) -> None:
    for encrypts in (True, False):
        ours, theirs = (Keys(b"s" * 32, b"k" * 16, b"i" * 16) for _ in range(2))
        frame = bytearray(sealed(ours, plain, encrypts=encrypts))
        frame[data.draw(st.integers(0, len(frame) - 1))] ^= data.draw(st.integers(1, 255))
        with pytest.raises(ValueError, match="wrong signature"):
            theirs.open(bytes(frame), 0, encrypts=encrypts)
        assert theirs.open(sealed(ours, plain, encrypts=encrypts), 0, encrypts=encrypts) == plain


@given(st.binary(min_size=1, max_size=64), st.binary(max_size=200))
def test_a_signature_is_an_hmac_of_the_policys_hash(key: bytes, message: bytes) -> None:
    for hash_, name in ((hashes.SHA256(), "sha256"), (hashes.SHA384(), "sha384")):
        keys = Keys(key, b"k" * 16, b"i" * 16, hash_)
        for _ in range(2):
            assert keys.sign(message) == hmac.digest(key, message, name)
        assert keys.signature == hash_.digest_size
