"""
The job that fills the index anew from the database, page by page.

It may run while servers write: it adds only what is not there, so what they have written stands, in whatever order the
two meet. What it adds may be overtaken by a change at that moment; such an entry is of an absorbed or erased person or
of an old generation, which nobody believes.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bihuan_identity.domain.graph import Attachment
from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.index_store import DEFAULT_BUCKETS, RedisIdentifierIndex
from bihuan_identity.schema import METADATA, SCHEMA
from bihuan_shared.sql import Database

_INDEX_TIMEOUT_S: Final = 30.0
PAGE: Final = 10_000
"""Identifiers in memory at a time, twice: one page is read while the one before it is written."""


class IdentifierPages(Protocol):
    """All identifiers of the truth, in the order of their keys."""

    async def attachments_after(self, key: bytes, limit: int) -> Mapping[bytes, Attachment]:
        """Return where up to `limit` identifiers above a key belong, ascending. Raises Unavailable."""


class FillableIndex(Protocol):
    """An index that takes entries for what it lacks."""

    async def fill(self, entries: Mapping[bytes, Attachment]) -> int:
        """Add the entries whose keys are not there; returns how many were added. Raises Unavailable."""


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """How far a rebuild has come: it goes on above the key `position`. Counts are of this run."""

    position: bytes = b""
    read_count: int = 0
    added_count: int = 0


async def rebuild(
    source: IdentifierPages,
    index: FillableIndex,
    *,
    after_key: bytes = b"",
    page: int = PAGE,
    on_page: Callable[[Rebuilt], None] = lambda _: None,
) -> Rebuilt:
    """
    Fill the index from every identifier above `after_key`.

    `on_page` is told after each page; a run that was interrupted goes on from the position it told last. Memory is
    bounded by two pages. Raises Unavailable.
    """
    done = Rebuilt(after_key)
    entries = await source.attachments_after(after_key, page)
    while entries:
        last = max(entries)
        async with asyncio.TaskGroup() as group:
            following = group.create_task(source.attachments_after(last, page))
            adding = group.create_task(index.fill(entries))
        done = Rebuilt(last, done.read_count + len(entries), done.added_count + adding.result())
        on_page(done)
        entries = following.result()
    return done


async def rebuild_index(
    database_url: str,
    redis_url: str,
    *,
    buckets: int = DEFAULT_BUCKETS,
    clear: bool = False,
    after_key: bytes = b"",
    on_page: Callable[[Rebuilt], None] = lambda _: None,
) -> Rebuilt:
    """
    Fill the index at `redis_url` from identity's database; with `clear`, what is indexed is forgotten first.

    `buckets` must be what the servers are configured with. Raises Unavailable.
    """
    # No pepper is needed: what is stored is hashed already.
    store = SqlGraphStore(await Database.open(database_url, METADATA, schema=SCHEMA))
    index = RedisIdentifierIndex(redis_url, buckets=buckets, timeout_s=_INDEX_TIMEOUT_S)
    try:
        if clear:
            await index.clear()
        return await rebuild(store, index, after_key=after_key, on_page=on_page)
    finally:
        await index.close()
        await store.close()
