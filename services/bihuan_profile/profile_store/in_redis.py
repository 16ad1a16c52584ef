"""
Records in Redis, Valkey or a cluster of either.

Keys: `pf:{<bucket>}:<person id>` holds a record (see `blob`), `pf:{<bucket>}:seen:<yyyymm>` the marks of the events of
one month, `pf:followed` the last change of who is who that was followed, `pf:job:<job>` and `pf:lease:<job>` how far
jobs are and who does them. A bucket is 64 neighbouring person ids and shares a slot, so a batch takes one command a
bucket, all in one pipeline; records are read in one command for all where there is one node. Marks are integers, which
the store keeps in 8 bytes each while a set has at most 512.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from hashlib import sha1
from typing import Final, TypeVar

from redis.asyncio import RedisCluster
from redis.exceptions import NoScriptError

from bihuan_profile.domain.marks import Mark
from bihuan_profile.domain.record import Record
from bihuan_profile.profile_store.blob import decode, encode, next_revision, revision_bytes
from bihuan_profile.use_cases.ports import Answer, Ask, Change, Held
from bihuan_shared.redis import RedisClient, is_alive, store_errors

BUCKET_BITS: Final = 6
SEEN_TTL_S: Final = 432 * 86_400
"""Collects sets of marks; events are taken in for 400 days and a set spans a month."""

# KEYS: n records, then the sets of marks. ARGV: n, TTL; then for each person: the revision
# expected, the new blob (empty where there is to be none), the number of marks, and for each
# mark the index of its set and its digest.
_WRITE: Final = b"""
local n = tonumber(ARGV[1])
local at = 3
local written = {}
local touched = {}
for i = 1, n do
  local current = redis.call('GETRANGE', KEYS[i], 1, 4)
  local marks = tonumber(ARGV[at + 2])
  if current == ARGV[at] then
    if ARGV[at + 1] == '' then
      redis.call('DEL', KEYS[i])
    else
      redis.call('SET', KEYS[i], ARGV[at + 1])
    end
    for j = 1, marks do
      local seen = KEYS[n + tonumber(ARGV[at + 1 + 2 * j])]
      redis.call('SADD', seen, ARGV[at + 2 + 2 * j])
      touched[seen] = true
    end
    written[i] = 1
  else
    written[i] = 0
  end
  at = at + 3 + 2 * marks
end
for seen, _ in pairs(touched) do
  redis.call('EXPIRE', seen, ARGV[2])
end
return written
"""
_WRITE_SHA: Final = sha1(_WRITE, usedforsecurity=False).hexdigest()

_FOLLOWED: Final = "pf:followed"

_Item = TypeVar("_Item")
_Word = bytes | str | int


def blob_key(person_id: int) -> str:
    """Key of a person's record."""
    return f"pf:{{{person_id >> BUCKET_BITS}}}:{person_id}"


def seen_key(bucket: int, month: int) -> str:
    """Key of a bucket's marks of one month (yyyymm)."""
    return f"pf:{{{bucket}}}:seen:{month}"


class RedisProfileStore:
    """A ProfileStore over one client, which the composition root opens and closes."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._is_cluster = isinstance(client, RedisCluster)

    async def read(self, person_ids: Sequence[int]) -> list[Held]:
        """What is held about each, in the same order; one pipeline."""
        by_bucket = self._places(dict.fromkeys(person_ids), lambda person_id: person_id)
        commands: list[list[_Word]] = [
            ["MGET", *(blob_key(person_id) for person_id in members)] for members in by_bucket.values()
        ]
        held: dict[int, Held] = {}
        for members, blobs in zip(by_bucket.values(), await self._pipeline(commands), strict=True):
            held.update(zip(members, (decode(blob) for blob in _blobs(blobs)), strict=True))
        return [held[person_id] for person_id in person_ids]

    async def ask(self, asks: Sequence[Ask]) -> list[Answer]:
        """What is held about each person and which marks are known, in the same order; one pipeline."""
        by_bucket = self._places(asks, lambda ask: ask.person_id)
        commands: list[list[_Word]] = [
            ["MGET", *(blob_key(ask.person_id) for ask in members)] for members in by_bucket.values()
        ]
        months = _marks_by_set(asks)
        commands += [["SMISMEMBER", seen_key(*place), *digests] for place, digests in months.items()]
        replies = await self._pipeline(commands)
        held: dict[int, Held] = {}
        for members, blobs in zip(by_bucket.values(), replies, strict=False):
            held.update(zip((ask.person_id for ask in members), (decode(blob) for blob in _blobs(blobs)), strict=True))
        known: set[tuple[int, int, int]] = set()
        for (place, digests), flags in zip(months.items(), replies[len(by_bucket) :], strict=True):
            known.update((*place, digest) for digest, flag in zip(digests, _flags(flags), strict=True) if flag)
        return [
            Answer(
                held[ask.person_id],
                tuple((_bucket_of(mark, ask), mark.month, mark.digest) in known for mark in ask.marks),
            )
            for ask in asks
        ]

    async def compare_and_set(self, changes: Sequence[Change]) -> list[bool]:
        """Of each change whether it was written; one script a bucket, all in one pipeline."""
        by_bucket = _grouped(changes, lambda change: change.person_id)
        commands = [_script_call(bucket, members) for bucket, members in by_bucket.items()]
        written: dict[int, bool] = {}
        for members, flags in zip(by_bucket.values(), await self._pipeline(commands), strict=True):
            written.update(zip((change.person_id for change in members), (bool(f) for f in _flags(flags)), strict=True))
        return [written[change.person_id] for change in changes]

    async def scan(self, batch_size: int) -> AsyncIterator[list[tuple[int, Record]]]:
        """Every person who is not erased, in batches of at most `batch_size`, from every master."""
        person_ids: list[int] = []
        with store_errors():
            async for key in self._client.scan_iter(match="pf:{*}:[0-9]*", count=1_000):
                person_ids.append(int(key.rpartition(b":")[2]))
                if len(person_ids) == batch_size:
                    yield await self._records(person_ids)
                    person_ids = []
        if person_ids:
            yield await self._records(person_ids)

    async def followed(self) -> int | None:
        """The last change of who is who that was followed; None where the store holds nothing of that."""
        with store_errors():
            held = await self._client.get(_FOLLOWED)
        return None if held is None else int(held)

    async def note_followed(self, change_id: int) -> None:
        """Note how far changes were followed."""
        with store_errors():
            await self._client.set(_FOLLOWED, change_id)

    async def ping(self) -> bool:
        """Whether the store answers."""
        return await is_alive(self._client)

    def _places(self, items: Iterable[_Item], person_of: Callable[[_Item], int]) -> dict[int, list[_Item]]:
        """What one command may read together: a bucket of a cluster, everything on one node."""
        if self._is_cluster:
            return _grouped(items, person_of)
        together = list(items)
        return {0: together} if together else {}

    async def _records(self, person_ids: Sequence[int]) -> list[tuple[int, Record]]:
        held = await self.read(person_ids)
        return [
            (person_id, one.record)
            for person_id, one in zip(person_ids, held, strict=True)
            if one.revision and not one.erased and not one.moved_to
        ]

    async def _pipeline(self, commands: Sequence[Sequence[_Word]]) -> list[object]:
        """Replies in order. Scripts that a node did not know are taught to it and run again; they had no effect."""
        with store_errors():
            replies = await self._execute(commands)
            unknown = [index for index, reply in enumerate(replies) if isinstance(reply, NoScriptError)]
            if unknown:
                await self._client.script_load(_WRITE.decode())
                again = await self._execute([commands[index] for index in unknown])
                for index, reply in zip(unknown, again, strict=True):
                    replies[index] = reply
            for reply in replies:
                if isinstance(reply, Exception):
                    raise reply
        return replies

    async def _execute(self, commands: Sequence[Sequence[_Word]]) -> list[object]:
        if not commands:
            return []
        async with self._client.pipeline(transaction=False) as pipeline:
            for command in commands:
                pipeline.execute_command(*command)
            return list(await pipeline.execute(raise_on_error=False))


def _grouped(items: Iterable[_Item], person_of: Callable[[_Item], int]) -> dict[int, list[_Item]]:
    grouped: dict[int, list[_Item]] = {}
    for item in items:
        grouped.setdefault(person_of(item) >> BUCKET_BITS, []).append(item)
    return grouped


def _marks_by_set(asks: Iterable[Ask]) -> dict[tuple[int, int], list[int]]:
    by_set: dict[tuple[int, int], list[int]] = {}
    for ask in asks:
        for mark in ask.marks:
            by_set.setdefault((_bucket_of(mark, ask), mark.month), []).append(mark.digest)
    return by_set


def _bucket_of(mark: Mark, ask: Ask) -> int:
    return (mark.person_id or ask.person_id) >> BUCKET_BITS


def _script_call(bucket: int, changes: Sequence[Change]) -> list[_Word]:
    sets: dict[int, int] = {}
    arguments: list[_Word] = [len(changes), SEEN_TTL_S]
    for change in changes:
        arguments += [
            revision_bytes(change.revision),
            b"" if change.forget else encode(change.record, next_revision(change.revision), change.moved_to),
            len(change.marks),
        ]
        for mark in change.marks:
            arguments += [sets.setdefault(mark.month, len(sets) + 1), mark.digest]
    keys = [blob_key(change.person_id) for change in changes] + [seen_key(bucket, month) for month in sets]
    return ["EVALSHA", _WRITE_SHA, len(keys), *keys, *arguments]


def _blobs(reply: object) -> list[bytes | None]:
    assert isinstance(reply, list)
    return reply


def _flags(reply: object) -> list[int]:
    assert isinstance(reply, list)
    return reply
