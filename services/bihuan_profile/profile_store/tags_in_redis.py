"""
Private tags in Redis, Valkey or a cluster of either.

`pf:tags:{<namespace>}` is a hash of the advertiser's tags (MessagePack) and their revision, `pf:tags:epoch` a random
name that is made when there is none. Whoever declares the tags keeps them too, and puts them again when the name
changes: the store may be emptied.
"""

import secrets
from collections.abc import Sequence
from typing import Final

import msgspec

from bihuan_profile.domain.governance import DataClass, Purpose
from bihuan_profile.domain.taxonomy import Tag, TagType
from bihuan_profile.use_cases.private_tags import NOTHING_HELD, HeldTags
from bihuan_shared.errors import Internal
from bihuan_shared.redis import RedisClient, store_errors

_EPOCH: Final = "pf:tags:epoch"
_WRITE: Final = """
local current = redis.call('HGET', KEYS[1], 'revision') or '0'
if current ~= ARGV[1] then
  return 0
end
redis.call('HSET', KEYS[1], 'revision', ARGV[2], 'tags', ARGV[3])
return 1
"""


class _StoredTag(msgspec.Struct, array_like=True):
    name: str
    type: int
    data_class: int
    purposes: list[int]
    description: str
    values: tuple[str, ...]
    retention_us: int
    half_life_us: int
    display_names: dict[str, str]
    iab_audience_id: int
    life: int = 0


class _Stored(msgspec.Struct, array_like=True):
    advertiser_id: str
    version: int
    tags: list[_StoredTag]
    lives: dict[str, int] = {}


_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Stored)


def tags_key(namespace: str) -> str:
    """Where the tags of a namespace are."""
    return f"pf:tags:{{{namespace}}}"


class RedisPrivateTagStore:
    """A PrivateTagStore."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client

    async def read(self, namespaces: Sequence[str]) -> list[HeldTags]:
        """What is held of each namespace, in the same order; one pipeline."""
        if not namespaces:
            return []
        with store_errors():
            async with self._client.pipeline(transaction=False) as pipeline:
                for namespace in namespaces:
                    pipeline.hmget(tags_key(namespace), ["revision", "tags"])
                replies = await pipeline.execute()
        return [_held(revision, packed) for revision, packed in replies]

    async def compare_and_set(self, namespace: str, held: HeldTags) -> bool:
        """Write tags over `held.revision`; False where the revision has moved on."""
        owner = held.tags[0].advertiser_id if held.tags else ""
        packed = _encoder.encode(_Stored(owner, held.version, [_stored(tag) for tag in held.tags], dict(held.lives)))
        with store_errors():
            written = await self._client.eval(
                _WRITE, 1, tags_key(namespace), str(held.revision), str(held.revision + 1), packed
            )
        return bool(written)

    async def epoch(self) -> str:
        """A name of the store's life."""
        with store_errors():
            held = await self._client.get(_EPOCH)
            if held is None:
                await self._client.set(_EPOCH, secrets.token_hex(8), nx=True)
                held = await self._client.get(_EPOCH)
        assert held is None or isinstance(held, bytes)
        return "" if held is None else held.decode()


def _held(revision: bytes | None, packed: bytes | None) -> HeldTags:
    if revision is None or packed is None:
        return NOTHING_HELD
    try:
        stored = _decoder.decode(packed)
        tags = tuple(_tag(one, stored.advertiser_id) for one in stored.tags)
    except (msgspec.MsgspecError, ValueError) as error:
        raise Internal("private tags in the store are damaged") from error
    return HeldTags(tags, stored.version, int(revision), stored.lives)


def _stored(tag: Tag) -> _StoredTag:
    return _StoredTag(
        tag.name,
        int(tag.type),
        int(tag.data_class),
        sorted(int(purpose) for purpose in tag.purposes),
        tag.description,
        tag.values,
        tag.retention_us,
        tag.half_life_us,
        dict(tag.display_names),
        tag.iab_audience_id,
        tag.life,
    )


def _tag(one: _StoredTag, advertiser_id: str) -> Tag:
    return Tag(
        name=one.name,
        type=TagType(one.type),
        data_class=DataClass(one.data_class),
        purposes=frozenset(Purpose(number) for number in one.purposes),
        description=one.description,
        values=one.values,
        retention_us=one.retention_us,
        half_life_us=one.half_life_us,
        display_names=one.display_names,
        iab_audience_id=one.iab_audience_id,
        advertiser_id=advertiser_id,
        life=one.life,
    )
