"""
The job that finds communities in consented relations and writes each person's into its profile.

Leiden's algorithm (Traag, Waltman, van Eck 2019, doi:10.1038/s41598-019-41695-z) by modularity, as igraph implements
it; the sum of what both ends say is the weight of a relation. A run needs about 200 bytes of memory a relation.
"""

import asyncio
import random
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import igraph
import numpy as np

from bihuan_profile.domain.community import EDGE_RETENTION_US, TAG, named
from bihuan_profile.domain.record import Fact
from bihuan_profile.edge_journal import Ids, Strengths, in_batches, latest_edges
from bihuan_profile.profile_store.in_redis import RedisProfileStore
from bihuan_profile.use_cases.knowing import living
from bihuan_profile.use_cases.ports import Answer, Ask, Backoff, Change, ProfileStore
from bihuan_profile.use_cases.updating import update
from bihuan_shared.lake import Lake, open_lake
from bihuan_shared.redis import open_redis

BATCH: Final = 1_000
ORIGIN: Final = "communities"
ITERATIONS: Final = 10


@dataclass(frozen=True, slots=True)
class Found:
    """What a run did: relations that counted, persons in them, communities told, and profiles changed."""

    edges: int = 0
    persons: int = 0
    communities: int = 0
    modularity: float = 0.0
    changed: int = 0


async def find_communities(
    redis_url: str, lake_url: str, now_us: int, *, seed: int = 0, on_progress: Callable[[int, int], None] | None = None
) -> Found:
    """
    Find communities in the lake of `lake_url` and write them to the profiles of `redis_url`, in batches.

    `on_progress` is told how many profiles of how many were dealt with. A run that was broken off is simply run again:
    the same relations and seed give the same partition. Raises Unavailable.
    """
    client = await open_redis(redis_url)
    try:
        store = RedisProfileStore(client)
        return await refresh(store, open_lake(lake_url), now_us, seed=seed, on_progress=on_progress)
    finally:
        await client.aclose()


async def refresh(
    store: ProfileStore,
    lake: Lake,
    now_us: int,
    *,
    seed: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> Found:
    """The same on an open store and lake."""
    people = await _people(store, *await latest_edges(lake, now_us - EDGE_RETENTION_US))
    partition, modularity = await asyncio.to_thread(_leiden, people, seed)
    names = named(partition, people.before, _fresh_names())
    changed = 0
    for done, batch in enumerate(in_batches(people.ids, BATCH), 1):
        changed += await _write(store, batch, names, now_us)
        if on_progress is not None:
            on_progress(min(done * BATCH, len(people.ids)), len(people.ids))
    told = len(set(names.values()))
    return Found(int(np.count_nonzero(people.strengths)), len(people.ids), told, modularity, changed)


@dataclass(frozen=True, slots=True)
class _People:
    """Persons as they are now, their relations by place in `ids`, and the communities that they had."""

    ids: Ids
    ends: tuple[Ids, Ids]
    strengths: Strengths
    before: Mapping[int, str]


async def _people(store: ProfileStore, persons: Ids, others: Ids, strengths: Strengths) -> _People:
    """Relations between living persons under the ids that they have now."""
    told = np.unique(np.concatenate([persons, others]))
    now = told.copy()
    gone = np.zeros(len(told), dtype=bool)
    before: dict[int, str] = {}
    place = 0
    for batch in in_batches(told, BATCH):
        for person_id, held in zip(batch, await store.read(batch), strict=True):
            if held.moved_to:
                now[place], _ = await living(store, person_id)
            gone[place] = held.erased
            if TAG in held.record.facts and not held.moved_to:
                before[person_id] = str(held.record.facts[TAG].value)
            place += 1
    one, other = np.searchsorted(told, persons), np.searchsorted(told, others)
    kept = ~gone[one] & ~gone[other]
    ids = np.unique(now[~gone])
    left, right = (np.searchsorted(ids, now[ends[kept]]) for ends in (one, other))
    counting = np.where(left == right, 0.0, strengths[kept])
    return _People(ids, (left.astype(np.uint64), right.astype(np.uint64)), counting, before)


def _leiden(people: _People, seed: int) -> tuple[Sequence[Sequence[int]], float]:
    counting = people.strengths > 0
    if not counting.any():
        return [], 0.0
    pairs = np.column_stack([end[counting] for end in people.ends])
    graph = igraph.Graph(n=len(people.ids), edges=pairs.astype(np.int64), directed=False)
    graph.es["weight"] = people.strengths[counting]
    graph.simplify(combine_edges="sum")
    igraph.set_random_number_generator(random.Random(seed))  # noqa: S311  # the same relations give the same partition
    try:
        found = graph.community_leiden("modularity", weights="weight", n_iterations=ITERATIONS)
    finally:
        igraph.set_random_number_generator(random)
    modularity = float(graph.modularity(found, weights="weight"))
    return [[int(people.ids[place]) for place in members] for members in found], modularity


def _fresh_names() -> Iterator[str]:
    while True:
        yield f"c{secrets.token_hex(6)}"


async def _write(store: ProfileStore, person_ids: Sequence[int], names: Mapping[int, str], now_us: int) -> int:
    """Bring the communities of some persons to `names`; how many changed. Who is in none loses what it had."""
    changed: set[int] = set()
    backoff = Backoff(random.Random(), asyncio.sleep)  # noqa: S311  # spreads load, no more
    await update(store, backoff, [Ask(one) for one in person_ids], partial(_decide, names, now_us, changed))
    return len(changed)


def _decide(names: Mapping[int, str], now_us: int, changed: set[int], ask: Ask, answer: Answer) -> Change | None:
    held, name = answer.held, names.get(ask.person_id)
    if held.erased or held.moved_to:
        return None
    known = held.record.facts.get(TAG)
    if name is None and known is None:
        return None
    facts = dict(held.record.facts)
    if name is None:
        del facts[TAG]
    else:
        facts[TAG] = Fact(name, now_us, origin=ORIGIN)
    if known is None or known.value != name:
        changed.add(ask.person_id)
    return Change(ask.person_id, held.revision, replace(held.record, facts=facts))
