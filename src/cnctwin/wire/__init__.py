"""The OPC UA binary encoding (OPC 10000-6, 5.2), for both ends: bounded where bytes come from a stranger, fast where they go out.

Pure: no event loop, no sockets, no clock. Types are asyncua's dataclasses; decoders and encoders are compiled from them once.
"""

from cnctwin.wire.budget import Budget, DecodingError
from cnctwin.wire.decode import decode, decoder
from cnctwin.wire.encode import encode, encoder

__all__ = ["Budget", "DecodingError", "decode", "decoder", "encode", "encoder"]
