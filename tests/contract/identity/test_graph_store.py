"""What every graph store does, the one in memory included."""

import asyncio
from itertools import pairwise

import pytest

from bihuan_identity import use_cases
from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment, Counters, GraphChange, GraphView
from bihuan_identity.domain.linking import plan_link
from bihuan_identity.domain.resolving import plan_resolve
from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.use_cases import GraphStore, Identity
from tests.unit.identity.builders import MAX_CLUSTER_SIZE, NOW_US, identity_of, item, key, link_of
from tests.unit.identity.memory_identity import MemoryGraphView, MemoryIdentifierIndex


@pytest.fixture
def identity(graph_store: GraphStore) -> Identity:
    return identity_of(graph_store, MemoryIdentifierIndex())


async def resolve(identity: Identity, *items: str, create: bool = True) -> list[int | None]:
    resolutions = await use_cases.batch_resolve(identity, [item(names, create=create) for names in items])
    return [resolution.person_id for resolution in resolutions]


async def test_created_persons_are_found_by_every_identifier(identity: Identity) -> None:
    assert await resolve(identity, "a b", "c") == [1, 2]
    assert await identity.store.find([key("a"), key("b"), key("c"), key("z")]) == {
        key("a"): Attachment(1, CERTAIN_PPM),
        key("b"): Attachment(1, CERTAIN_PPM),
        key("c"): Attachment(2, CERTAIN_PPM),
    }


async def test_ids_are_dense_over_resolves_and_links(identity: Identity) -> None:
    await resolve(identity, "a", "b")
    await use_cases.link(identity, link_of("c d"))
    await resolve(identity, "a", "e f", create=False)
    assert await resolve(identity, "e") == [4]


async def test_merge_keeps_the_older_person_and_moves_every_identifier(identity: Identity) -> None:
    await resolve(identity, "a b", "c d", "e")
    outcome = await use_cases.link(identity, link_of("d e"))
    assert (outcome.person_id, outcome.merged_person_ids) == (2, (3,))
    outcome = await use_cases.link(identity, link_of("e a", confidence_ppm=700_000))
    assert (outcome.person_id, outcome.merged_person_ids) == (1, (2,))
    found = await identity.store.find([key(name) for name in "abcde"])
    assert {found[key(name)].person_id for name in "abcde"} == {1}
    assert [found[key(name)].confidence_ppm for name in "abcde"] == [CERTAIN_PPM] * 2 + [700_000] * 3


async def test_person_shows_identifiers_evidence_history_and_aliases(identity: Identity) -> None:
    await resolve(identity, "a b", "c", "d")
    await use_cases.link(identity, link_of("d c"))
    await use_cases.link(identity, link_of("c b"))
    for person_id in (1, 2, 3):
        view = await use_cases.get_person(identity, person_id)
        assert (view.person.person_id, view.person.founder, view.person.create_time_us) == (1, key("a"), NOW_US)
        assert {row.key for row in view.identifiers} == {key(name) for name in "abcd"}
        assert [row.namespace for row in view.identifiers] == ["login"] * 4
        assert [piece.members for piece in view.evidence] == [
            (key("a"), key("b")),
            (key("d"), key("c")),
            (key("c"), key("b")),
        ]
        assert [piece.evidence_id for piece in view.evidence] == [1, 2, 3]
        assert [(merge.survivor_id, merge.absorbed_id) for merge in view.merges] == [(1, 2)]
        assert view.alias_ids == (2, 3)


async def test_unknown_person_is_none(graph_store: GraphStore) -> None:
    assert await graph_store.person(1) is None


async def test_merges_are_listed_in_order_and_in_pages(identity: Identity) -> None:
    await resolve(identity, "a", "b", "c", "d")
    await use_cases.link(identity, link_of("c b d"))
    await use_cases.link(identity, link_of("a b"))
    assert await identity.store.absorbed_after(0, 10) == [(1, 3), (2, 4), (3, 2)]
    assert await identity.store.absorbed_after(1, 1) == [(2, 4)]
    assert await identity.store.absorbed_after(3, 10) == []


async def test_repeated_request_returns_the_stored_answer_after_later_merges(identity: Identity) -> None:
    await resolve(identity, "z", "a", "b", "c")
    first = await use_cases.link(identity, link_of("a b c", request_id="r"))
    assert (first.person_id, first.merged_person_ids) == (2, (3, 4))
    await use_cases.link(identity, link_of("z a"))
    assert await use_cases.link(identity, link_of("a b c", request_id="r")) == first


async def test_plan_that_raises_changes_nothing(graph_store: GraphStore) -> None:
    def plan(view: GraphView) -> tuple[GraphChange, None]:
        change, _ = plan_resolve(view, [item("a")], max_cluster_size=MAX_CLUSTER_SIZE)
        assert change.persons
        raise LookupError

    with pytest.raises(LookupError):
        await graph_store.change(plan)
    assert await graph_store.find([key("a")]) == {}
    assert await graph_store.change(lambda view: (None, view.counters())) == Counters(1, 1, 1)


async def test_view_answers_as_the_reference_does(identity: Identity) -> None:
    graph = MemoryGraphView()
    commands = [
        link_of("a b c", request_id="1"),
        link_of("c d", confidence_ppm=300_000, request_id="2"),
        link_of("x y"),
    ]
    for command in commands:
        change, _ = plan_link(graph, command, max_cluster_size=MAX_CLUSTER_SIZE)
        assert change is not None
        graph.apply(change)
        await use_cases.link(identity, command)

    def read(view: GraphView) -> tuple[None, tuple[object, ...]]:
        keys = [key(name) for name in "acxz"]
        return None, (
            view.counters(),
            view.attachments(keys),
            {at: set(near) for at, near in view.neighbours(keys).items()},
            view.members([1]),
            dict(view.sizes([1, 2, 3])),
            list(view.evidence(keys)),
            view.founder(2),
            view.request("gateway", "2"),
            view.request("gateway", "none"),
        )

    assert await identity.store.change(read) == read(graph)[1]


async def test_concurrent_resolves_of_a_new_identifier_create_one_person(identity: Identity) -> None:
    answers = await asyncio.gather(*(resolve(identity, "same", f"own{at}") for at in range(20)))
    assert len({answer[0] for answer in answers}) == 1
    found = await identity.store.find([key("same"), *(key(f"own{at}") for at in range(20))])
    assert sorted(attachment.person_id for attachment in found.values()) == list(range(1, 22))


async def test_two_processes_create_one_person_and_lose_no_link(database_url: str) -> None:
    stores = [await SqlGraphStore.open(database_url) for _ in range(2)]
    first, second = (identity_of(store, MemoryIdentifierIndex()) for store in stores)
    names = [f"n{at}" for at in range(12)]
    both = await asyncio.gather(
        *(resolve(who, name) for name in names for who in (first, second)),
    )
    assert all(both[at] == both[at + 1] for at in range(0, len(both), 2))
    await asyncio.gather(
        *(use_cases.link(who, link_of(f"{one} {other}")) for one, other in pairwise(names) for who in (first, second))
    )
    found = await stores[0].find([key(name) for name in names])
    assert {attachment.person_id for attachment in found.values()} == {1}
    for store in stores:
        await store.close()


async def test_reopened_store_holds_everything(database_url: str) -> None:
    store = await SqlGraphStore.open(database_url)
    await resolve(identity_of(store, MemoryIdentifierIndex()), "a", "b")
    await use_cases.link(identity_of(store, MemoryIdentifierIndex()), link_of("a b", request_id="r"))
    await store.close()
    store = await SqlGraphStore.open(database_url)
    reopened = identity_of(store, MemoryIdentifierIndex())
    assert await resolve(reopened, "b", "c") == [1, 3]
    assert (await use_cases.link(reopened, link_of("a b", request_id="r"))).merged_person_ids == (2,)
    await store.close()


async def test_full_batch_of_unknown_identifiers_fits_into_one_query(graph_store: GraphStore) -> None:
    assert await graph_store.find([at.to_bytes(16, "big") for at in range(32_000)]) == {}
