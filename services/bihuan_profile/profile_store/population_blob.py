"""
The published form of a generation: eight bytes that are its digest, one of format, and a MessagePack map.

The digest tells generations apart without reading them, and a whole one from a damaged one.
"""

from hashlib import blake2b
from typing import Final

import msgspec

from bihuan_profile.domain.population import Population

FORMAT: Final = 1
MARK_BYTES: Final = 8

_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(Population)


def encode_population(population: Population) -> bytes:
    """The published form of a generation."""
    body = bytes([FORMAT]) + _encoder.encode(population)
    return blake2b(body, digest_size=MARK_BYTES).digest() + body


def decode_population(data: bytes | None) -> Population | None:
    """The generation in `data`; None for none, for one that another version wrote, and for damaged bytes."""
    if data is None or len(data) <= MARK_BYTES or data[MARK_BYTES] != FORMAT:
        return None
    if blake2b(data[MARK_BYTES:], digest_size=MARK_BYTES).digest() != data[:MARK_BYTES]:
        return None
    try:
        return _decoder.decode(memoryview(data)[MARK_BYTES + 1 :])
    except msgspec.MsgspecError:
        return None
