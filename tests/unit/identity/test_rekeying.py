"""A new pepper: identifiers known under the previous one are found, and kept under the new one from then on."""

import pytest

from bihuan_identity.domain.linking import BarredError
from bihuan_identity.domain.resolving import NOBODY
from tests.unit.identity.planned import PlannedGraph, key_in


def handle(name: str, epoch: int) -> int:
    return int.from_bytes(key_in(name, epoch)[:8], "big")


@pytest.mark.parametrize("create", [True, False])
def test_known_identifier_is_found_and_rekeyed(*, create: bool) -> None:
    graph = PlannedGraph()
    graph.link("a b c")
    graph.epoch = 2
    (found,) = graph.resolve("b", create=create)
    assert (found.person_id, found.created, found.sighting_id) == (1, False, handle("b", 2))
    assert set(graph.view.rows) == {key_in("a", 1), key_in("b", 2), key_in("c", 1)}
    assert graph.view.pieces[1].members == (key_in("a", 1), key_in("b", 2), key_in("c", 1))
    assert (graph.node("b").epoch, graph.view.next.person_id) == (2, 2)
    assert graph.resolve("b", create=create) == [found]


def test_new_identifiers_attach_to_a_person_of_the_previous_pepper() -> None:
    graph = PlannedGraph()
    graph.resolve("a")
    graph.epoch = 2
    assert [each.person_id for each in graph.resolve("a new", "new")] == [1, 1]
    assert graph.node("new").epoch == 2
    assert graph.node("a").ordinal == 1


def test_repeated_link_is_the_same_evidence_under_the_new_pepper() -> None:
    graph = PlannedGraph()
    first = graph.link("a b")
    graph.epoch = 2
    graph.time_s += 9
    assert graph.link("b a") == first
    assert set(graph.view.pieces) == {1}
    assert graph.view.pieces[1].last_seen_s == graph.time_s


def test_parts_of_a_split_name_the_sightings_of_every_pepper() -> None:
    graph = PlannedGraph()
    graph.resolve("a", "b")
    linked = graph.link("a b")
    for epoch in (2, 3):
        graph.epoch = epoch
        graph.resolve("a b")
    graph.unlink(linked.evidence_id)
    parts = {part.person_id: set(part.sightings) for part in graph.changes[-1].parts}
    assert parts == {at: {handle(name, epoch) for epoch in (1, 2, 3)} for at, name in ((1, "a"), (2, "b"))}


def test_quarantined_identifier_is_rekeyed_in_all_its_evidence() -> None:
    graph = PlannedGraph(max_degree=2)
    for name in "abcd":
        graph.link(f"hub {name}")
    graph.epoch = 2
    graph.resolve("hub", create=False)
    assert graph.node("hub").quarantine_time_s is not None
    assert {tied for tied, _ in graph.view.ties} == {key_in("hub", 2)}
    assert all(key_in("hub", 2) in piece.members for piece in graph.view.pieces.values())
    graph.unlink(4)
    graph.unlink(3)
    graph.resolve("a", "b")
    assert len({*graph.persons("hub a b")}) == 1


def test_erased_identifier_stays_erased_under_the_new_pepper_and_the_one_after() -> None:
    graph = PlannedGraph()
    graph.resolve("a b")
    erasure = graph.erase(1)
    for epoch in (2, 3):
        graph.epoch = epoch
        assert graph.resolve("a") == [NOBODY]
        with pytest.raises(BarredError) as barred:
            graph.link("x b")
        assert barred.value.position == 1
    assert graph.view.tombstones([key_in("a", 3)]) == {key_in("a", 3)}
    assert graph.view.erased_keys(erasure.erasure_id) == erasure.keys


def test_what_was_not_seen_under_newer_peppers_is_retired() -> None:
    graph = PlannedGraph()
    graph.link("a b c")
    graph.epoch = 2
    graph.resolve("a", "b")
    assert graph.retire(oldest_epoch=2) == 1
    assert set(graph.view.rows) == {key_in("a", 2), key_in("b", 2)}
    assert graph.persons("a b") == [1, 1]
    assert graph.view.pieces[1].members == (key_in("a", 2), key_in("b", 2))
    assert graph.generation(1) == 1
    assert graph.retire(oldest_epoch=2) == 0
    assert graph.view.tombstone_keys == {}


def test_retiring_identifiers_of_several_persons_changes_each_person_by_itself() -> None:
    graph = PlannedGraph()
    graph.resolve("gone", "a b", "c d")
    graph.epoch = 2
    graph.resolve("b", "d")
    assert graph.retire(oldest_epoch=2) == 3
    told = [(change.before, tuple(part.person_id for part in change.parts)) for change in graph.changes]
    # In one change whoever follows would take the first person for merged into the others.
    assert told == [((1,), ()), ((2,), (2,)), ((3,), (3,))]
    assert [change.change_id for change in graph.changes] == [1, 2, 3]
    assert [change.generations for change in graph.changes] == [((1, 1),), ((2, 1),), ((3, 1),)]
