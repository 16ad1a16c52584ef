"""How many bytes Valkey takes for identifiers, ours and the naive way."""

import asyncio
import os
import socket
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
from naive_identity import key_of, set_commands

from bihuan.common.v1.common_pb2 import Identifier
from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment
from bihuan_identity.index_store import RedisIdentifierIndex
from bihuan_shared.embedded import EmbeddedValkey

CHUNK = 100_000
OK = b"+OK\r\n"
MEAN_SIZE = 3


def used_bytes(valkey: EmbeddedValkey) -> int:
    """What the engine says it has allocated."""
    return int(_info(valkey, "used_memory"))


def engine_version(valkey: EmbeddedValkey) -> str:
    """Name and version of the engine; how much a key takes differs between them."""
    return f"Valkey {_info(valkey, 'valkey_version')}"


async def index_bytes(valkey: EmbeddedValkey, identifiers: int, buckets: int) -> float:
    """Fill an empty engine through the real index with random keys; bytes an identifier."""
    index = RedisIdentifierIndex(valkey.url, buckets=buckets, timeout_s=60)
    await index.get([bytes(16)])
    before = used_bytes(valkey)
    for start in range(0, identifiers, CHUNK):
        count = min(CHUNK, identifiers - start)
        await index.put({os.urandom(16): Attachment((start + at) // MEAN_SIZE + 1, CERTAIN_PPM) for at in range(count)})
    # What the last call took for its buffers is given back a moment later.
    await asyncio.sleep(1)
    after = used_bytes(valkey)
    await index.close()
    return (after - before) / identifiers


def naive_bytes(valkey: EmbeddedValkey, keys: npt.NDArray[np.uint8]) -> float:
    """Fill an empty engine with one string a key, for `keys` of shape (count, 16); bytes an identifier."""
    before = used_bytes(valkey)
    with socket.create_connection(("127.0.0.1", valkey.port)) as connection:
        for start in range(0, len(keys), CHUNK):
            rows = keys[start : start + CHUNK]
            connection.sendall(set_commands(rows, start + 1))
            left = len(rows) * len(OK)
            while left:
                left -= len(connection.recv(min(left, 1 << 20)))
    return (used_bytes(valkey) - before) / len(keys)


def naive_keys(known: Sequence[Identifier]) -> npt.NDArray[np.uint8]:
    """The keys of identifiers, of shape (count, 16)."""
    return np.frombuffer(b"".join(_keys(known)), dtype=np.uint8).reshape(-1, 16)


def _keys(known: Sequence[Identifier]) -> Iterator[bytes]:
    return (key_of(identifier.namespace, identifier.value) for identifier in known)


def _info(valkey: EmbeddedValkey, name: str) -> str:
    lines = valkey.command("INFO").decode().split("\r\n")
    return next(line.partition(":")[2] for line in lines if line.startswith(f"{name}:"))
