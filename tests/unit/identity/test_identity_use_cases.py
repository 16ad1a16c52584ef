import pytest

from bihuan_identity import use_cases
from bihuan_identity.domain.absorbed import AbsorbedPersons
from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, NotFound
from tests.unit.identity.builders import identity_of, item, key, link_of
from tests.unit.identity.memory_identity import MemoryGraphStore, MemoryIdentifierIndex


class World:
    """Identity on in-memory ports."""

    def __init__(self, max_cluster_size: int = 512) -> None:
        self.store = MemoryGraphStore()
        self.index = MemoryIdentifierIndex()
        self.identity = identity_of(self.store, self.index, max_cluster_size=max_cluster_size)

    async def persons(self, *items: str, create: bool = False) -> list[int | None]:
        resolutions = await use_cases.batch_resolve(self.identity, [item(names, create=create) for names in items])
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
    assert (await use_cases.link(world.identity, link_of("a b"))).merged_person_ids == (2,)
    world.index.away = False
    assert await world.persons("a", "b") == [1, 1]


async def test_old_index_entry_never_wins_over_a_merge(world: World) -> None:
    await world.persons("a", "b", create=True)
    await use_cases.link(world.identity, link_of("a b"))
    world.index.entries[key("b")] = Attachment(2, CERTAIN_PPM)
    assert await world.persons("b") == [1]
    assert world.index.entries[key("b")] == Attachment(1, CERTAIN_PPM)


async def test_merge_of_another_process_voids_old_index_entries_once_followed(world: World) -> None:
    await world.persons("a", "b", create=True)
    other = identity_of(world.store, MemoryIdentifierIndex())
    await use_cases.link(other, link_of("a b"))
    await use_cases.follow_merges(world.identity)
    assert world.index.entries[key("b")].person_id == 2
    assert await world.persons("b") == [1]


async def test_link_indexes_new_and_moved_identifiers(world: World) -> None:
    await world.persons("a", "b x", create=True)
    await use_cases.link(world.identity, link_of("a b new"))
    world.store.find_calls = 0
    assert await world.persons("a", "b", "x", "new") == [1, 1, 1, 1]
    assert world.store.find_calls == 0


async def test_guard_and_conflict_are_typed_and_name_the_field() -> None:
    world = World(max_cluster_size=3)
    await world.persons("a b", "x y", create=True)
    with pytest.raises(FailedPrecondition) as refused:
        await use_cases.link(world.identity, link_of("a x", request_id="r"))
    assert refused.value.reason == "CLUSTER_GUARD"
    assert [violation.field for violation in refused.value.violations] == ["identifiers"]
    assert await world.persons("a", "x") == [1, 2]

    await use_cases.link(world.identity, link_of("a b", request_id="r"))
    with pytest.raises(AlreadyExists) as conflict:
        await use_cases.link(world.identity, link_of("x y", request_id="r"))
    assert [violation.field for violation in conflict.value.violations] == ["request_id"]


@pytest.mark.parametrize("person_id", [0, 1, 2**44, 2**64 - 1])
async def test_person_that_was_never_created_is_not_found(world: World, person_id: int) -> None:
    with pytest.raises(NotFound):
        await use_cases.get_person(world.identity, person_id)


def test_following_merges_remembers_how_far_it_came() -> None:
    absorbed = AbsorbedPersons()
    absorbed.add([7])
    assert (7 in absorbed, absorbed.last_merge_id) == (True, 0)
    absorbed.follow([(1, 7), (2, 9)])
    absorbed.follow([])
    assert (9 in absorbed, 8 in absorbed, absorbed.last_merge_id) == (True, False, 2)
