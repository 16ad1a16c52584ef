"""
Identity as it is usually built, to compare with: one string key an identifier, one call and one GET each.

It does nothing else: no evidence, no checks, no callers, no telemetry.
"""

import asyncio
import hashlib
import hmac
import sys
from typing import Final

import grpc
import numpy as np
import numpy.typing as npt
import uvloop
from redis.asyncio import Redis

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceServicer, add_IdentityServiceServicer_to_server

PREFIX: Final = b"id:"
PEPPER: Final = bytes(range(32))
_HEAD: Final = b"*3\r\n$3\r\nSET\r\n$19\r\nid:"
_MIDDLE: Final = b"\r\n$8\r\n"
_END: Final = b"\r\n"


def key_of(namespace: str, value: str) -> bytes:
    """The 16-byte keyed hash of an identifier."""
    return hmac.digest(PEPPER, f"{namespace}\0{value}".encode(), hashlib.sha256)[:16]


def set_commands(keys: npt.NDArray[np.uint8], first_value: int) -> bytes:
    """Raw commands that set one string a key, for `keys` of shape (count, 16), to ascending numbers."""
    count = len(keys)
    values = np.arange(first_value, first_value + count, dtype=">u8").view(np.uint8).reshape(-1, 8)
    parts = [_rows(_HEAD, count), keys, _rows(_MIDDLE, count), values, _rows(_END, count)]
    return np.concatenate(parts, axis=1).tobytes()


def _rows(text: bytes, count: int) -> npt.NDArray[np.uint8]:
    return np.broadcast_to(np.frombuffer(text, dtype=np.uint8), (count, len(text)))


class NaiveIdentity(IdentityServiceServicer):
    """Answers Resolve by one GET."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def Resolve(self, request: pb.ResolveRequest, context: object) -> pb.ResolveResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """One identifier, one GET."""
        identifier = request.item.identifiers[0]
        value = await self._redis.get(PREFIX + key_of(identifier.namespace, identifier.value))
        person_id = int.from_bytes(value, "big") if value is not None else None
        return pb.ResolveResponse(result=pb.ResolveResult(person_id=person_id, confidence=1))


async def _serve(redis_url: str) -> None:
    server = grpc.aio.server()
    add_IdentityServiceServicer_to_server(NaiveIdentity(Redis.from_url(redis_url, protocol=2)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
