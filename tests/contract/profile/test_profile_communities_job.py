"""Communities are found in the lake's relations and written into profiles."""

from collections.abc import AsyncIterator
from itertools import combinations
from pathlib import Path

import pytest

from bihuan_profile.communities import Found, refresh
from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.community import EDGE_RETENTION_US, TAG, Edge
from bihuan_profile.domain.record import EMPTY, fold
from bihuan_profile.edge_journal import LakeEdges
from bihuan_profile.use_cases.ports import Change, ProfileStore
from bihuan_shared.lake import Lake, open_lake

NOW_US = 1_500_000_000_000_000
CLUBS = (range(1, 9), range(101, 109))
BRIDGE = Edge(1, 101, 0.1, NOW_US)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return open_lake(str(tmp_path))


@pytest.fixture
async def edges(lake: Lake) -> AsyncIterator[LakeEdges]:
    journal = LakeEdges(lake)
    for club in CLUBS:
        await journal.write([Edge(one, other, 1.0, NOW_US) for one, other in combinations(club, 2)])
    await journal.write([BRIDGE])
    yield journal
    await journal.close()


async def told(store: ProfileStore, *person_ids: int) -> list[object]:
    held = await store.read(person_ids)
    return [one.record.facts[TAG].value if TAG in one.record.facts else None for one in held]


async def test_two_circles_with_one_bridge_are_two_communities_and_keep_their_names(
    store: ProfileStore, lake: Lake, edges: LakeEdges
) -> None:
    found = await refresh(store, lake, NOW_US)
    assert (found.edges, found.persons, found.communities, found.changed) == (57, 16, 2, 16)
    assert 0.4 < found.modularity < 0.5
    one, other = [await told(store, *club) for club in CLUBS]
    assert len(set(one)) == len(set(other)) == 1
    assert one[0] != other[0]
    again = await refresh(store, lake, NOW_US + 1, seed=3)
    assert again.changed == 0
    assert await told(store, 1, 101) == [one[0], other[0]]


async def test_nothing_related_is_no_community(store: ProfileStore, lake: Lake) -> None:
    assert await refresh(store, lake, NOW_US) == Found()


@pytest.mark.parametrize("end", ["taken back", "too old"])
async def test_who_is_in_no_community_any_more_loses_its_name(
    store: ProfileStore, lake: Lake, edges: LakeEdges, end: str
) -> None:
    await refresh(store, lake, NOW_US)
    now_us = NOW_US + 1
    if end == "too old":
        now_us = NOW_US + EDGE_RETENTION_US + 1
        await edges.write([Edge(one, other, 1.0, now_us) for one, other in combinations(CLUBS[1], 2)])
    else:
        taken_back = [Edge(one, other, 0.0, NOW_US + 1) for one, other in combinations(CLUBS[0], 2)]
        await edges.write([*taken_back, Edge(1, 101, 0.0, NOW_US + 1)])
    await refresh(store, lake, now_us)
    assert set(await told(store, *CLUBS[0])) == {None}
    assert None not in await told(store, *CLUBS[1])


async def test_erased_persons_have_none_and_merged_ones_that_of_the_survivor(
    store: ProfileStore, lake: Lake, edges: LakeEdges
) -> None:
    record = fold(EMPTY, [Event(50, "e", Behaviour.VIEW, NOW_US)])
    await store.compare_and_set([Change(2, 0, None), Change(50, 0, record), Change(3, 0, EMPTY, moved_to=50)])
    await refresh(store, lake, NOW_US)
    erased, moved, survivor, member = await store.read([2, 3, 50, 4])
    assert erased.erased
    assert not moved.record.facts
    assert survivor.record.facts[TAG].value == member.record.facts[TAG].value
    assert survivor.record.counts == record.counts
