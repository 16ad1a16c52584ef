"""Erasure: a person goes with everything known of it, and replayed links do not bring it back."""

import pytest

from bihuan_identity.domain.linking import BarredError, ContentConflictError
from bihuan_identity.domain.resolving import NOBODY
from bihuan_identity.domain.undoing import UnknownPersonError
from tests.unit.identity.builders import key
from tests.unit.identity.planned import PlannedGraph


def test_nothing_of_an_erased_person_is_left_but_its_tombstones() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    graph.link("b c")
    graph.resolve("other")
    erasure = graph.erase(1)
    assert erasure.keys == tuple(sorted(key(name) for name in "abc"))
    assert (erasure.person_ids, erasure.time_s) == ((1,), graph.time_s)
    assert set(graph.view.rows) == {key("other")}
    assert graph.view.pieces == {}
    (change,) = graph.changes
    assert (change.before, change.parts) == ((1,), ())


def test_erased_identifiers_resolve_to_nobody_and_refuse_links_by_position() -> None:
    graph = PlannedGraph()
    graph.link("a b", request_id="r")
    graph.erase(1)
    assert graph.resolve("a", "b a") == [NOBODY, NOBODY]
    for names, position in (("a x", 0), ("x y b", 2)):
        with pytest.raises(BarredError) as barred:
            graph.link(names)
        assert barred.value.position == position
    assert graph.resolve("a x")[0].created
    assert set(graph.view.rows) == {key("x")}


def test_replayed_request_is_answered_as_before_and_restores_nothing() -> None:
    graph = PlannedGraph()
    linked = graph.link("a b", request_id="r")
    graph.erase(1)
    assert graph.link("a b", request_id="r") == linked
    assert graph.view.rows == {}


def test_alias_erases_the_person_it_stands_for_with_all_its_ids() -> None:
    graph = PlannedGraph()
    graph.resolve("a", "b", "c")
    graph.link("a b c")
    assert graph.erase(3).person_ids == (1, 2, 3)
    for person_id in (1, 2, 3):
        with pytest.raises(UnknownPersonError):
            graph.erase(person_id)


def test_repeated_erasure_answers_the_same_and_erases_nothing_else() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    graph.link("x y")
    first = graph.erase(1, "r")
    graph.time_s += 77
    again = graph.erase(1, "r")
    assert (again.erasure_id, again.time_s, again.keys) == (first.erasure_id, first.time_s, first.keys)
    with pytest.raises(ContentConflictError):
        graph.erase(2, "r")
    assert graph.persons("x y") == [2, 2]


@pytest.mark.parametrize("person_id", [2, 7, 2**36 - 1])
def test_unknown_person_cannot_be_erased(person_id: int) -> None:
    graph = PlannedGraph()
    graph.link("a b")
    with pytest.raises(UnknownPersonError):
        graph.erase(person_id)
    assert len(graph.view.rows) == 2


def test_erasure_is_numbered_among_the_evidence_and_no_id_is_used_again() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    assert graph.erase(1).erasure_id == 2
    assert graph.resolve("new")[0].person_id == 2
