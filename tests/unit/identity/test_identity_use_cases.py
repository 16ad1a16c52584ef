"""Use cases over the truth, an index that may be late or lost, and what a process knows of changes."""

import pytest

from bihuan_identity.domain.graph import CERTAIN_PPM, MAX_PERSON_ID, Attachment
from bihuan_identity.domain.receipts import ReceiptKeys
from bihuan_identity.domain.resolving import Item
from bihuan_identity.domain.standing import StandingPersons
from bihuan_identity.domain.undoing import EraseCommand, UnlinkCommand
from bihuan_identity.use_cases.committing import Identity, follow_changes
from bihuan_identity.use_cases.linking import link, unlink
from bihuan_identity.use_cases.persons import Erasing, erase_person, get_person, list_quarantined
from bihuan_identity.use_cases.resolving import batch_resolve
from bihuan_identity.use_cases.sweeping import lapse, retire, revoke_namespace
from bihuan_shared.errors import AlreadyExists, BihuanError, FailedPrecondition, NotFound
from tests.unit.identity.builders import DAY_S, NOW_US, identifier, identity_of, item, key, link_of
from tests.unit.identity.memory_identity import MemoryGraphStore, MemoryIdentifierIndex

NOW_S = NOW_US // 1_000_000


class World:
    """Identity on in-memory ports."""

    def __init__(self, max_cluster_size: int = 512) -> None:
        self.store = MemoryGraphStore()
        self.index = MemoryIdentifierIndex()
        self.identity = identity_of(self.store, self.index, max_cluster_size=max_cluster_size)
        self.erasing = Erasing(self.identity.graph, ReceiptKeys({1: bytes(32)}))

    async def persons(self, *items: str, create: bool = False) -> list[int | None]:
        return await persons(self.identity, *items, create=create)

    async def unlink(self, evidence_id: int, request_id: str = "u") -> tuple[int, ...]:
        return await unlink(self.identity, UnlinkCommand("gateway", request_id, evidence_id, NOW_US))

    async def erase(self, person_id: int, request_id: str = "e") -> str:
        return await erase_person(self.erasing, EraseCommand("gateway", request_id, person_id, NOW_US))


async def persons(identity: Identity, *items: str, create: bool = False) -> list[int | None]:
    resolutions = await batch_resolve(identity, [item(names, create=create) for names in items])
    return [resolution.person_id for resolution in resolutions]


@pytest.fixture
def world() -> World:
    return World()


async def test_known_batch_costs_one_index_call_and_no_query(world: World) -> None:
    await world.persons("a b", "c", create=True)
    world.store.find_calls = world.index.get_calls = 0
    assert await world.persons("b", "c", "a", create=True) == [1, 2, 1]
    assert (world.index.get_calls, world.store.find_calls) == (1, 0)


async def test_what_the_index_lacks_is_read_in_one_query_and_indexed_again(world: World) -> None:
    await world.persons("a b", "c", create=True)
    world.index.entries.clear()
    world.store.find_calls = 0
    assert await world.persons("a", "c", "b") == [1, 2, 1]
    assert await world.persons("a", "c", "b") == [1, 2, 1]
    assert world.store.find_calls == 1


async def test_lost_index_costs_queries_and_no_answers(world: World) -> None:
    await world.persons("a", create=True)
    world.index.away = True
    assert await world.persons("a", "b", create=True) == [1, 2]
    linked = await link(world.identity, link_of("a b"))
    assert linked.merged_person_ids == (2,)
    await world.unlink(linked.evidence_id)
    await link(world.identity, link_of("a b"))
    world.index.away = False
    assert await world.persons("a", "b") == [1, 1]


async def test_index_that_was_away_while_persons_changed_misleads_nobody(world: World) -> None:
    await world.persons("a b", "c d", "e", create=True)
    merged = await link(world.identity, link_of("b c"))
    await world.persons("a", "b", "c", "d", "e")
    world.index.away = True
    await world.unlink(merged.evidence_id)
    await world.erase(3)
    world.index.away = False
    assert world.index.entries[key("d")] == Attachment(1, CERTAIN_PPM)
    assert await world.persons("a", "b", "c", "d", "e") == [1, 1, 2, 2, None]
    assert world.index.entries[key("d")] == Attachment(2, CERTAIN_PPM, 1)


async def test_old_index_entry_never_wins_over_a_merge(world: World) -> None:
    await world.persons("a", "b", create=True)
    await link(world.identity, link_of("a b"))
    world.index.entries[key("b")] = Attachment(2, CERTAIN_PPM)
    assert await world.persons("b") == [1]
    assert world.index.entries[key("b")] == Attachment(1, CERTAIN_PPM)


async def test_changes_of_another_process_void_old_index_entries_once_followed(world: World) -> None:
    await world.persons("a", "b", "c", create=True)
    other = identity_of(world.store, MemoryIdentifierIndex())
    linked = await link(other, link_of("a b"))
    await follow_changes(world.identity.graph)
    assert world.index.entries[key("b")].person_id == 2
    assert await world.persons("b") == [1]
    await unlink(other, UnlinkCommand("gateway", "u", linked.evidence_id, NOW_US))
    await erase_person(Erasing(other.graph, world.erasing.receipts), EraseCommand("gateway", "e", 3, NOW_US))
    await follow_changes(world.identity.graph)
    assert await world.persons("a", "b", "c") == [1, 2, None]


async def test_link_indexes_new_and_moved_identifiers(world: World) -> None:
    await world.persons("a", "b x", create=True)
    await link(world.identity, link_of("a b new"))
    world.store.find_calls = 0
    assert await world.persons("a", "b", "x", "new") == [1, 1, 1, 1]
    assert world.store.find_calls == 0


async def test_guard_and_conflict_are_typed_and_name_the_field() -> None:
    world = World(max_cluster_size=3)
    await world.persons("a b", "x y", create=True)
    with pytest.raises(FailedPrecondition) as refused:
        await link(world.identity, link_of("a x", request_id="r"))
    assert refused.value.reason == "CLUSTER_GUARD"
    assert fields(refused.value) == ["identifiers"]
    assert await world.persons("a", "x") == [1, 2]

    await link(world.identity, link_of("a b", request_id="r"))
    with pytest.raises(AlreadyExists) as conflict:
        await link(world.identity, link_of("x y", request_id="r"))
    assert fields(conflict.value) == ["request_id"]


async def test_erased_identifier_in_a_link_is_named_by_its_place(world: World) -> None:
    await world.persons("a b", create=True)
    await world.erase(1)
    with pytest.raises(FailedPrecondition) as refused:
        await link(world.identity, link_of("x y b"))
    assert (refused.value.reason, fields(refused.value)) == ("ERASED", ["identifiers[2]"])
    assert await world.persons("a", "b", "x", create=True) == [None, None, 2]


def fields(error: BihuanError) -> list[str]:
    return [violation.field for violation in error.violations]


@pytest.mark.parametrize("person_id", [0, 1, MAX_PERSON_ID, 2**44, 2**64 - 1])
async def test_person_that_was_never_created_is_not_found(world: World, person_id: int) -> None:
    for call in (get_person(world.identity, person_id), world.erase(person_id)):
        with pytest.raises(NotFound) as refused:
            await call
        assert fields(refused.value) == ["person.person_id"]


async def test_unknown_evidence_and_other_content_are_refused(world: World) -> None:
    with pytest.raises(NotFound) as unknown:
        await world.unlink(1)
    assert fields(unknown.value) == ["evidence_id"]
    first, second = [await link(world.identity, link_of(names)) for names in ("a b", "c d")]
    assert await world.unlink(first.evidence_id, "u") == (1, 3)
    with pytest.raises(AlreadyExists) as conflict:
        await world.unlink(second.evidence_id, "u")
    assert fields(conflict.value) == ["request_id"]
    with pytest.raises(AlreadyExists):
        await world.erase(1, "u")


async def test_receipt_of_a_repeated_erasure_is_the_same(world: World) -> None:
    await world.persons("a b", "c", create=True)
    receipt = await world.erase(1)
    assert await world.erase(1) == receipt
    statement = world.erasing.receipts.verify(receipt)
    assert (statement.identifier_count, statement.erase_time_us) == (2, NOW_US)
    assert await world.erase(2, "other") != receipt


async def test_quarantined_identifiers_are_listed_in_pages(world: World) -> None:
    for at in range(65):
        await link(world.identity, link_of(f"one o{at}"))
        await link(world.identity, link_of(f"two t{at}"))
    found = await list_quarantined(world.identity, b"", 10)
    assert [each.node.key for each in found] == sorted([key("one"), key("two")])
    assert [each.piece_count for each in found] == [65, 65]
    assert await list_quarantined(world.identity, found[0].node.key, 10) == found[1:]
    assert await list_quarantined(world.identity, found[1].node.key, 10) == []


async def test_sweeps_leave_index_and_truth_agreed(world: World) -> None:
    await world.persons("a b", "c", create=True)
    assert await lapse(world.identity.graph, 0, NOW_S + 364 * DAY_S) == (None, 0)
    assert await lapse(world.identity.graph, 0, NOW_S + 365 * DAY_S) == (None, 1)
    assert await world.persons("a", "b", "c") == [1, 3, 2] or await world.persons("a", "b", "c") == [3, 1, 2]
    assert await retire(world.identity.graph, b"", 1, NOW_S) == (None, 0)
    assert await retire(world.identity.graph, b"", 2, NOW_S) == (None, 3)
    assert world.index.entries == {}
    assert await world.persons("a", "b", "c") == [None] * 3


async def test_namespace_is_revoked_in_pages_and_stays_so(world: World) -> None:
    await world.persons(*(f"n{at} m{at}" for at in range(600)), create=True)
    assert await revoke_namespace(world.identity.graph, "login", NOW_S, max_pages=1) == (500, False)
    assert await revoke_namespace(world.identity.graph, "login", NOW_S) == (700, True)
    assert await revoke_namespace(world.identity.graph, "login", NOW_S) == (0, True)
    assert world.index.entries == {}
    assert await world.persons("n1", "new", create=True) == [None, None]


@pytest.mark.parametrize("lost", [False, True])
async def test_restarted_process_believes_no_entry_of_what_went_before(world: World, *, lost: bool) -> None:
    await world.persons("a b", "c", "d", "e", create=True)
    linked = await link(world.identity, link_of("c d"))
    stale = dict(world.index.entries)
    world.index.away = lost
    await world.unlink(linked.evidence_id)
    await world.erase(4)
    await retire(world.identity.graph, b"", 2, NOW_S)
    world.index.away = False
    world.index.entries = stale
    found = await world.store.standing()
    standing = StandingPersons(found.change_id, [*found.absorbed, *found.erased], found.generations)
    assert not any(standing.believes(entry) for entry in stale.values())


async def test_index_that_was_away_while_an_identifier_was_rekeyed_is_put_right_when_it_is_seen_again() -> None:
    world = World()
    await world.persons("a", create=True)
    later = identity_of(world.store, world.index, epoch=2)
    under_both = Item((identifier("a@2")._replace(previous_key=key("a")),), create=True, time_us=NOW_US)
    world.index.away = True
    await batch_resolve(later, [under_both])
    world.index.away = False
    assert set(world.index.entries) == {key("a")}
    for _ in range(2):
        (found,) = await batch_resolve(later, [under_both])
        assert found.person_id == 1
    assert world.index.entries[key("a@2")].person_id == 1
