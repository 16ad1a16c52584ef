"""What every graph store does, the one in memory included."""

import asyncio
from itertools import pairwise

import pytest

from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment, Counters, GraphChange, GraphView
from bihuan_identity.domain.resolving import plan_resolve
from bihuan_identity.domain.undoing import EraseCommand, UnlinkCommand, plan_erase
from bihuan_identity.graph_store import SqlGraphStore
from bihuan_identity.use_cases.committing import Identity, commit
from bihuan_identity.use_cases.linking import link, unlink
from bihuan_identity.use_cases.persons import get_person
from bihuan_identity.use_cases.ports import GraphStore
from bihuan_identity.use_cases.resolving import batch_resolve
from bihuan_shared.clock import SECOND_US
from bihuan_shared.errors import FailedPrecondition
from tests.unit.identity.builders import NOW_US, identity_of, item, key, link_of, rules
from tests.unit.identity.memory_identity import MemoryIdentifierIndex


@pytest.fixture
def identity(graph_store: GraphStore) -> Identity:
    return identity_of(graph_store, MemoryIdentifierIndex())


async def resolve(identity: Identity, *items: str, create: bool = True) -> list[int | None]:
    resolutions = await batch_resolve(identity, [item(names, create=create) for names in items])
    return [resolution.person_id for resolution in resolutions]


async def undo(identity: Identity, evidence_id: int, request_id: str = "u") -> tuple[int, ...]:
    return await unlink(identity, UnlinkCommand("gateway", request_id, evidence_id, NOW_US))


async def erase(identity: Identity, person_id: int) -> None:
    command = EraseCommand("gateway", f"e{person_id}", person_id, NOW_US)
    await commit(identity.graph, lambda view: plan_erase(view, command, rules(), epoch=1))


async def test_created_persons_are_found_by_every_identifier(identity: Identity) -> None:
    assert await resolve(identity, "a b", "c") == [1, 2]
    assert await identity.graph.store.find([key("a"), key("b"), key("c"), key("z")]) == {
        key("a"): Attachment(1, CERTAIN_PPM),
        key("b"): Attachment(1, CERTAIN_PPM),
        key("c"): Attachment(2, CERTAIN_PPM),
    }


async def test_ids_are_dense_over_resolves_and_links(identity: Identity) -> None:
    await resolve(identity, "a", "b")
    await link(identity, link_of("c d"))
    await resolve(identity, "a", "e f", create=False)
    assert await resolve(identity, "e") == [4]


async def test_merge_keeps_the_older_person_and_moves_every_identifier(identity: Identity) -> None:
    await resolve(identity, "a b", "c d", "e")
    outcome = await link(identity, link_of("d e"))
    assert (outcome.person_id, outcome.merged_person_ids) == (2, (3,))
    outcome = await link(identity, link_of("e a", confidence_ppm=700_000))
    assert (outcome.person_id, outcome.merged_person_ids) == (1, (2,))
    found = await identity.graph.store.find([key(name) for name in "abcde"])
    assert {found[key(name)].person_id for name in "abcde"} == {1}
    assert [found[key(name)].confidence_ppm for name in "abcde"] == [CERTAIN_PPM] * 2 + [700_000] * 3


async def test_person_shows_identifiers_evidence_history_and_aliases(identity: Identity) -> None:
    await resolve(identity, "a b", "c", "d")
    await link(identity, link_of("d c"))
    await link(identity, link_of("c b"))
    for person_id in (1, 2, 3):
        view = await get_person(identity, person_id)
        assert (view.person.person_id, view.person.anchor) == (1, 1)
        assert view.person.create_time_s == NOW_US // SECOND_US
        assert [node.key for node in view.nodes] == sorted(key(name) for name in "abcd")
        assert [node.namespace for node in view.nodes] == ["login"] * 4
        assert [piece.members for piece in view.pieces] == [
            (key("a"), key("b")),
            (key("d"), key("c")),
            (key("c"), key("b")),
        ]
        assert [piece.evidence_id for piece in view.pieces] == [1, 4, 5]
        assert [(change.before, change.parts[0].person_id) for change in view.changes] == [((1, 2), 1)]
        assert view.alias_ids == (2, 3)


async def test_person_that_was_split_off_shows_its_own_part_and_the_split(identity: Identity) -> None:
    await resolve(identity, "a b", "c d")
    merged = await link(identity, link_of("b c"))
    assert await undo(identity, merged.evidence_id) == (1, 2)
    for person_id, names in ((1, "ab"), (2, "cd")):
        view = await get_person(identity, person_id)
        assert view.person.person_id == person_id
        assert {node.key for node in view.nodes} == {key(name) for name in names}
        assert [len(change.parts) for change in view.changes] == [1, 2]
        assert (view.alias_ids, view.person.generation) == ((), 1)


async def test_quarantined_identifier_shows_its_evidence_wherever_that_is_kept(identity: Identity) -> None:
    for at in range(65):
        await link(identity, link_of(f"hub n{at}"))
    (found,) = await identity.graph.store.quarantined_after(b"", 10)
    assert (found.node.key, found.piece_count) == (key("hub"), 65)
    view = await get_person(identity, found.node.person_id)
    assert [node.key for node in view.nodes] == [key("hub")]
    assert len(view.pieces) == 65
    (one,) = await resolve(identity, "n7")
    assert one is not None
    assert [len(piece.members) for piece in (await get_person(identity, one)).pieces] == [2]


async def test_unknown_and_erased_persons_are_none(identity: Identity) -> None:
    store = identity.graph.store
    assert await store.person(1) is None
    await resolve(identity, "a", "b")
    await link(identity, link_of("a b"))
    await erase(identity, 2)
    assert [await store.person(at) for at in (1, 2)] == [None, None]
    assert await store.find([key("a"), key("b")]) == {}


async def test_changes_are_listed_in_order_and_in_pages(identity: Identity) -> None:
    await resolve(identity, "a", "b", "c", "d")
    first = await link(identity, link_of("c b d"))
    await link(identity, link_of("a b"))
    await undo(identity, first.evidence_id)
    store = identity.graph.store
    every = await store.changes_after(0, 10)
    assert [(change.change_id, change.before) for change in every] == [(1, (2, 3, 4)), (2, (1, 2)), (3, (1,))]
    assert [sorted(part.person_id for part in change.parts) for change in every] == [[2], [1], [1, 3, 4]]
    assert await store.changes_after(1, 1) == [every[1]]
    assert await store.changes_after(3, 10) == []


async def test_standing_names_what_older_entries_are_void_of(identity: Identity) -> None:
    await resolve(identity, "a", "b", "c", "d e", "f")
    await link(identity, link_of("a b"))
    merged = await link(identity, link_of("c d"))
    await undo(identity, merged.evidence_id)
    await erase(identity, 5)
    standing = await identity.graph.store.standing()
    assert (standing.change_id, list(standing.absorbed), list(standing.erased)) == (4, [2], [5])
    assert dict(standing.generations).items() >= {3: 1, 4: 1}.items()
    assert 1 not in dict(standing.generations)


async def test_repeated_request_returns_the_stored_answer_after_later_merges(identity: Identity) -> None:
    await resolve(identity, "z", "a", "b", "c")
    first = await link(identity, link_of("a b c", request_id="r"))
    assert (first.person_id, first.merged_person_ids) == (2, (3, 4))
    await link(identity, link_of("z a"))
    assert await link(identity, link_of("a b c", request_id="r")) == first


async def test_plan_that_raises_changes_nothing(graph_store: GraphStore) -> None:
    def plan(view: GraphView) -> tuple[GraphChange, None]:
        change, _ = plan_resolve(view, [item("a")], rules(), epoch=1)
        assert change.persons
        raise LookupError

    with pytest.raises(LookupError):
        await graph_store.change(plan)
    assert await graph_store.find([key("a")]) == {}
    assert await graph_store.change(lambda view: (None, view.counters())) == Counters(1, 1, 1)


async def test_concurrent_resolves_of_a_new_identifier_create_one_person(identity: Identity) -> None:
    answers = await asyncio.gather(*(resolve(identity, "same", f"own{at}") for at in range(20)))
    assert len({answer[0] for answer in answers}) == 1
    found = await identity.graph.store.find([key("same"), *(key(f"own{at}") for at in range(20))])
    assert sorted(attachment.person_id for attachment in found.values()) == list(range(1, 22))


async def test_full_batch_of_unknown_identifiers_fits_into_one_query(graph_store: GraphStore) -> None:
    assert await graph_store.find([at.to_bytes(16, "big") for at in range(32_000)]) == {}


async def test_two_processes_create_one_person_and_lose_no_link(database_url: str) -> None:
    stores = [await SqlGraphStore.open(database_url, epoch=1) for _ in range(2)]
    first, second = (identity_of(store, MemoryIdentifierIndex()) for store in stores)
    names = [f"n{at}" for at in range(12)]
    both = await asyncio.gather(*(resolve(who, name) for name in names for who in (first, second)))
    assert all(both[at] == both[at + 1] for at in range(0, len(both), 2))
    links = await asyncio.gather(
        *(link(who, link_of(f"{one} {other}")) for one, other in pairwise(names) for who in (first, second))
    )
    found = await stores[0].find([key(name) for name in names])
    assert {attachment.person_id for attachment in found.values()} == {1}
    changes = await stores[0].changes_after(0, 1_000)
    assert [change.change_id for change in changes] == list(range(1, 12))
    await asyncio.gather(*(undo(first, at, f"u{at}") for at in {linked.evidence_id for linked in links}))
    found = await stores[1].find([key(name) for name in names])
    assert sorted(attachment.person_id for attachment in found.values()) == list(range(1, 13))
    for store in stores:
        await store.close()


async def test_reopened_store_holds_everything(database_url: str) -> None:
    store = await SqlGraphStore.open(database_url, epoch=1)
    await resolve(identity_of(store, MemoryIdentifierIndex()), "a", "b")
    await link(identity_of(store, MemoryIdentifierIndex()), link_of("a b", request_id="r"))
    await store.close()
    store = await SqlGraphStore.open(database_url, epoch=1)
    reopened = identity_of(store, MemoryIdentifierIndex())
    assert await resolve(reopened, "b", "c") == [1, 3]
    assert (await link(reopened, link_of("a b", request_id="r"))).merged_person_ids == (2,)
    await store.close()


async def test_process_that_knows_only_an_older_pepper_may_not_serve(database_url: str) -> None:
    for epoch in (1, 1, 3):
        store = await SqlGraphStore.open(database_url, epoch=epoch)
        await store.close()
    for epoch in (1, 2):
        with pytest.raises(FailedPrecondition, match="under pepper 3"):
            await SqlGraphStore.open(database_url, epoch=epoch)
    store = await SqlGraphStore.open(database_url, epoch=3)
    assert await store.is_alive()
    await store.close()


async def test_attachments_are_read_in_pages_for_rebuilding(database_url: str) -> None:
    store = await SqlGraphStore.open(database_url, epoch=1)
    identity = identity_of(store, MemoryIdentifierIndex())
    await resolve(identity, *(f"n{at} m{at}" for at in range(5)))
    keys = sorted(key(f"{letter}{at}") for letter in "nm" for at in range(5))
    first = await store.attachments_after(b"", 7)
    assert list(first) == keys[:7]
    second = await store.attachments_after(keys[6], 7)
    assert list(second) == keys[7:]
    assert {**first, **second} == await store.find(keys)
    assert await store.attachments_after(keys[-1], 7) == {}
    await store.close()


async def test_old_requests_are_forgotten_and_newer_ones_kept(database_url: str) -> None:
    store = await SqlGraphStore.open(database_url, epoch=1)
    identity = identity_of(store, MemoryIdentifierIndex())
    for at in range(5):
        await link(identity, link_of(f"a{at} b{at}", request_id=f"r{at}"))
    now_s = NOW_US // SECOND_US
    assert await store.forget_requests(now_s, 10) == 0
    assert [await store.forget_requests(now_s + 1, 3) for _ in range(3)] == [3, 2, 0]
    # The request is new again; its evidence is the same and is not doubled.
    again = await link(identity, link_of("a0 b0", request_id="r0"))
    assert again.evidence_id == 1
    await store.close()
