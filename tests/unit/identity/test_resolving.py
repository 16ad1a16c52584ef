"""Resolving: what is answered for known identifiers, and what is written for new ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment, EvidenceKind
from bihuan_identity.domain.resolving import NOBODY, RESOLVE_SOURCE, Item, Resolution, answer
from tests.unit.identity.builders import NOW_US, identifier, item, key
from tests.unit.identity.planned import PlannedGraph


def sighting(name: str) -> int:
    return int.from_bytes(key(name)[:8], "big")


def found(person_id: int, name: str, confidence_ppm: int = CERTAIN_PPM, **marks: bool) -> Resolution:
    return Resolution(person_id, confidence_ppm, sighting_id=sighting(name), **marks)


def test_unknown_identifiers_are_nobody_unless_creation_is_asked_for() -> None:
    graph = PlannedGraph()
    assert graph.resolve("a", create=False) == [NOBODY]
    assert graph.view.person_rows == {}


def test_identifiers_of_one_item_become_one_person_tied_by_evidence() -> None:
    graph = PlannedGraph()
    assert graph.resolve("a b c") == [found(1, "a", created=True)]
    assert graph.resolve("b", "c", create=False) == [found(1, "b"), found(1, "c")]
    (piece,) = graph.view.pieces.values()
    assert (piece.kind, piece.source) == (EvidenceKind.DETERMINISTIC, RESOLVE_SOURCE)
    assert set(piece.members) == {key("a"), key("b"), key("c")}


def test_one_identifier_needs_no_evidence_and_has_its_place_among_it() -> None:
    graph = PlannedGraph()
    graph.resolve("a")
    assert graph.view.pieces == {}
    assert (graph.node("a").ordinal, graph.view.person_rows[1].anchor) == (1, 1)


def test_items_of_one_batch_see_each_other() -> None:
    graph = PlannedGraph()
    resolutions = graph.resolve("a b", "b c", "c", "z")
    assert [resolution.person_id for resolution in resolutions] == [1, 1, 1, 2]
    assert [resolution.created for resolution in resolutions] == [True, False, False, True]


def test_new_identifier_beside_a_known_one_attaches_to_its_person() -> None:
    graph = PlannedGraph()
    graph.resolve("a")
    assert graph.resolve("new a") == [found(1, "new")]
    assert graph.persons("new") == [1]
    assert graph.view.pieces[2].source == RESOLVE_SOURCE
    assert graph.changes == []


def test_attached_identifier_is_as_sure_as_the_surest_known_one() -> None:
    graph = PlannedGraph()
    graph.link("a b", confidence_ppm=400_000)
    graph.resolve("b x", "b a y")
    assert graph.node("x").confidence_ppm == 400_000
    assert graph.node("y").confidence_ppm == CERTAIN_PPM


def test_item_that_points_to_two_persons_answers_the_oldest_and_changes_nothing() -> None:
    graph = PlannedGraph()
    graph.resolve("a", "b")
    assert graph.resolve("b a new") == [found(1, "a", ambiguous=True)]
    assert key("new") not in graph.view.rows
    assert (graph.view.aliases, graph.view.pieces) == ({}, {})


def test_full_person_takes_no_more_identifiers_and_is_still_answered() -> None:
    graph = PlannedGraph(max_cluster_size=3)
    graph.resolve("a b")
    assert graph.resolve("a c d") == [found(1, "a")]
    assert key("c") not in graph.view.rows
    graph.resolve("a c")
    assert graph.persons("c") == [1]


def test_confidence_is_that_of_the_weakest_identifier_and_its_trust() -> None:
    sure, weak = identifier("sure"), identifier("weak", trust_ppm=500_000)
    known = {sure.key: Attachment(1, CERTAIN_PPM), weak.key: Attachment(1, 800_000)}
    assert answer(Item((sure,), create=False, time_us=NOW_US), known).confidence_ppm == CERTAIN_PPM
    assert answer(Item((sure, weak), create=False, time_us=NOW_US), known).confidence_ppm == 500_000


@pytest.mark.parametrize("names", ["hub a", "a hub", "a hub b", "hub a b", "b hub a"])
def test_quarantined_identifier_counts_only_where_nothing_else_is_known(names: str) -> None:
    known = {key("hub"): Attachment(1, 0), key("a"): Attachment(2, 700_000), key("b"): Attachment(2, CERTAIN_PPM)}
    resolution = answer(item(names, create=False), known)
    assert (resolution.person_id, resolution.confidence_ppm, resolution.ambiguous) == (2, 700_000, False)
    alone = answer(item("hub new", create=False), known)
    assert (alone.person_id, alone.confidence_ppm, alone.sighting_id) == (1, 0, sighting("hub"))


NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)


@pytest.mark.parametrize("create", [True, False])
@given(batch=st.lists(NAMES, min_size=1, max_size=8))
def test_repeating_a_batch_gives_the_same_persons_and_writes_nothing(batch: list[list[str]], *, create: bool) -> None:
    graph = PlannedGraph()
    again = [" ".join(names) for names in batch]
    graph.resolve(*again, create=create)
    first = graph.resolve(*again, create=create)
    counters = graph.view.next
    assert graph.resolve(*again, create=create) == first
    assert graph.view.next == counters


@given(batch=st.lists(NAMES, min_size=1, max_size=8))
def test_one_batch_gives_the_partition_of_its_items_one_by_one(batch: list[list[str]]) -> None:
    together, apart = PlannedGraph(), PlannedGraph()
    items = [" ".join(names) for names in batch]
    at_once = together.resolve(*items)
    one_by_one = [resolution for each in items for resolution in apart.resolve(each)]
    assert at_once == one_by_one
    assert together.view.rows == apart.view.rows
    assert together.view.pieces == apart.view.pieces


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([CERTAIN_PPM, 700_000, 200_000])), max_size=6))
def test_answer_is_the_oldest_person_at_its_weakest_identifier(attached: list[tuple[int, int]]) -> None:
    identifiers = [identifier(f"n{at}") for at in range(len(attached) + 1)]
    known = {one.key: Attachment(*where) for one, where in zip(identifiers, attached, strict=False)}
    result = answer(Item(tuple(identifiers), create=False, time_us=NOW_US), known)
    if not attached:
        assert result == NOBODY
        return
    oldest = min(person_id for person_id, _ in attached)
    weakest = min(confidence_ppm for person_id, confidence_ppm in attached if person_id == oldest)
    first = next(at for at, (person_id, _) in enumerate(attached) if person_id == oldest)
    several = len({person_id for person_id, _ in attached}) > 1
    assert result == found(oldest, f"n{first}", weakest, ambiguous=several)
