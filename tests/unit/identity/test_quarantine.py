"""Identifiers that connect too many others: nothing merges through them, and nothing is lost."""

import pytest

from bihuan_identity.domain.graph import CERTAIN_PPM
from bihuan_identity.domain.regrouping import GuardRefusedError
from tests.unit.identity.builders import key
from tests.unit.identity.planned import PlannedGraph


def hub_of(count: int, *, max_degree: int = 3, max_cluster_size: int = 512) -> PlannedGraph:
    """A hub that is tied to the persons p0 to p<count>, each of two identifiers, by one link each."""
    graph = PlannedGraph(max_degree=max_degree, max_cluster_size=max_cluster_size)
    for at in range(count):
        graph.link(f"p{at} q{at}")
    for at in range(count):
        graph.link(f"hub p{at}")
    return graph


def test_hub_at_its_bound_merges_and_beyond_it_splits_what_merged_through_it() -> None:
    graph = hub_of(3)
    assert graph.persons("hub p0 q1 p2") == [1, 1, 1, 1]
    linked = graph.link("hub z")
    assert linked.quarantined
    assert graph.persons("p0 q0 p1 q1 p2 q2") == [1, 1, 2, 2, 3, 3]
    assert graph.view.aliases == {}
    others = {*graph.persons("p0 p1 p2")}
    assert graph.node("hub").person_id not in others
    assert graph.node("z").person_id not in {*others, graph.node("hub").person_id}
    assert graph.node("hub").quarantine_time_s == graph.time_s


def test_quarantined_identifier_keeps_its_evidence_and_names_nobody_surely() -> None:
    graph = hub_of(4)
    assert graph.node("hub").confidence_ppm == 0
    assert len([piece for piece in graph.view.pieces.values() if key("hub") in piece.members]) == 4
    assert {at for tied, at in graph.view.ties if tied == key("hub")} == {5, 6, 7, 8}
    hub = graph.node("hub").person_id
    assert [(each.person_id, each.confidence_ppm) for each in graph.resolve("hub", create=False)] == [(hub, 0)]
    (with_other,) = graph.resolve("hub p1", create=False)
    assert (with_other.person_id, with_other.confidence_ppm, with_other.ambiguous) == (2, CERTAIN_PPM, False)


def test_links_through_a_quarantined_identifier_are_kept_and_merge_nothing() -> None:
    graph = hub_of(4)
    linked = graph.link("hub new1 new2")
    assert (linked.quarantined, linked.merged_person_ids) == (True, ())
    assert graph.node("new1").person_id == graph.node("new2").person_id == linked.person_id
    assert graph.node("hub").person_id != linked.person_id


def test_undoing_enough_of_its_evidence_lifts_a_quarantine() -> None:
    graph = hub_of(5)
    assert graph.unlink(10) != ()
    assert graph.node("hub").quarantine_time_s is not None
    graph.unlink(9)
    assert graph.node("hub").quarantine_time_s is None
    assert graph.persons("hub p0 q1 p2") == [1, 1, 1, 1]
    assert graph.persons("p3 p4") == [4, 5]
    assert graph.node("hub").confidence_ppm == CERTAIN_PPM
    assert graph.view.ties == set()


def test_several_pieces_between_the_same_two_count_once() -> None:
    graph = PlannedGraph(max_degree=1)
    graph.link("a b")
    graph.link("a b", confidence_ppm=500_000)
    assert not graph.link("a b", confidence_ppm=600_000).quarantined
    assert graph.link("a c").quarantined
    assert graph.node("a").quarantine_time_s is not None
    assert graph.node("b").quarantine_time_s is None


def test_quarantine_that_lifting_would_make_too_large_a_person_stays() -> None:
    graph = hub_of(4, max_cluster_size=7)
    extra = [graph.link(names).evidence_id for names in ("p0 r0", "q0 s0", "p1 r1", "q1 s1")]
    graph.unlink(8)
    assert graph.node("hub").quarantine_time_s is not None
    assert graph.persons("p0 p1 p2") == [1, 2, 3]
    for evidence_id in extra:
        graph.unlink(evidence_id)
    # Nothing about the hub itself has changed; it is looked at again when something does.
    assert graph.node("hub").quarantine_time_s is not None
    graph.unlink(7)
    assert graph.node("hub").quarantine_time_s is None


def test_lapsing_lifts_a_quarantine_too() -> None:
    graph = PlannedGraph(max_degree=2, ttl_s=1_000)
    graph.link("hub a")
    graph.link("hub b")
    graph.time_s += 500
    graph.link("hub c")
    assert graph.node("hub").quarantine_time_s is not None
    graph.time_s += 500
    assert graph.lapse(page=1) == 2
    assert graph.node("hub").quarantine_time_s is None
    assert graph.node("hub").person_id == graph.node("c").person_id


def test_resolving_never_attaches_through_a_quarantined_identifier() -> None:
    graph = hub_of(4)
    (first,) = graph.resolve("hub new")
    assert (first.created, first.confidence_ppm) == (True, CERTAIN_PPM)
    assert graph.node("new").person_id == first.person_id != graph.node("hub").person_id
    assert graph.resolve("hub other")[0].person_id not in (first.person_id, graph.node("hub").person_id)
    again = graph.resolve("hub new")[0]
    assert (again.person_id, again.created, again.ambiguous) == (first.person_id, False, False)
    (attached,) = graph.resolve("hub p1 more")
    assert attached.person_id == 2
    assert graph.persons("more") == [2]


def test_resolving_may_be_what_quarantines() -> None:
    graph = PlannedGraph(max_degree=2)
    answers = graph.resolve("hub a", "hub b", "hub c", "hub d")
    assert graph.node("hub").quarantine_time_s is not None
    assert len(set(graph.persons("hub a b c d"))) == 5
    assert answers[0].person_id == answers[1].person_id == 1
    assert [each.person_id for each in graph.resolve("a", "b", "c", "d")] == graph.persons("a b c d")


def test_quarantined_identifier_takes_no_evidence_without_end() -> None:
    graph = PlannedGraph(max_degree=1)
    for at in range(64):
        graph.link(f"hub a{at}")
    assert graph.node("hub").quarantine_time_s is not None
    counters = graph.view.next
    with pytest.raises(GuardRefusedError, match="64 pieces"):
        graph.link("hub late")
    assert graph.view.next == counters
    assert key("late") not in graph.view.rows
    assert graph.link("hub a1").evidence_id == 2
    graph.unlink(1)
    assert graph.link("hub late").quarantined


def test_two_hubs_are_held_each_by_its_own_evidence() -> None:
    graph = PlannedGraph(max_degree=2)
    graph.link("h1 h2")
    graph.link("h1 a")
    graph.link("h2 b")
    assert len({*graph.persons("h1 h2 a b")}) == 1
    last = graph.link("h1 c")
    graph.link("h2 d")
    assert [graph.node(name).quarantine_time_s is not None for name in ("h1", "h2")] == [True, True]
    assert len({*graph.persons("h1 h2 a b c d")}) == 6
    graph.unlink(last.evidence_id)
    assert [graph.node(name).quarantine_time_s is not None for name in ("h1", "h2")] == [False, True]
    assert graph.persons("h1")[0] == graph.persons("a")[0]
    assert graph.persons("h2")[0] not in graph.persons("h1 b d")


def test_erasing_one_neighbour_frees_the_hub() -> None:
    graph = hub_of(4)
    graph.erase(graph.node("p3").person_id)
    assert graph.node("hub").quarantine_time_s is None
    assert graph.persons("hub p0 p1 p2") == [1] * 4


def test_hub_itself_can_be_erased() -> None:
    graph = hub_of(4)
    erasure = graph.erase(graph.node("hub").person_id)
    assert erasure.keys == (key("hub"),)
    assert graph.view.ties == set()
    assert graph.persons("p0 p1 p2 p3") == [1, 2, 3, 4]
    assert len(graph.view.pieces) == 4


def test_erasing_a_quarantined_identifier_concerns_no_other_person() -> None:
    graph = PlannedGraph(max_degree=3)
    for names in ("p q", "q r", "r s"):
        graph.link(names)
    for name in "pqrs":
        graph.link(f"hub {name}")
    hub, other = graph.node("hub").person_id, graph.node("p").person_id
    told = len(graph.changes)
    graph.erase(hub)
    (change,) = graph.changes[told:]
    assert (change.before, change.parts) == ((hub,), ())
    assert graph.persons("p q r s") == [other] * 4


@pytest.mark.parametrize("sources", [64, 65, 100])
def test_however_many_pieces_name_a_quarantined_identifier_erasing_it_leaves_none(sources: int) -> None:
    graph = PlannedGraph(max_degree=1)
    for at in range(sources):
        graph.link("hub x", source=f"s{at}")
    assert graph.link("hub z").quarantined
    graph.erase(graph.node("hub").person_id)
    assert graph.view.pieces == {}
    assert graph.view.ties == set()
    assert not graph.link("x y").quarantined


def test_quarantine_counts_the_neighbours_of_all_pieces_however_many_there_are() -> None:
    graph = PlannedGraph(max_degree=2)
    for at in range(140):
        graph.link("hub x", source=f"s{at}")
    graph.link("hub y")
    graph.link("hub z")
    graph.unlink(1)
    assert graph.node("hub").quarantine_time_s is not None


def test_person_that_goes_into_a_part_of_a_split_is_merged_into_that_part() -> None:
    graph = PlannedGraph(max_degree=2)
    graph.resolve("a", "b")
    graph.link("hub a")
    graph.link("hub b")
    graph.resolve("y")
    told = len(graph.changes)
    assert graph.link("hub b y").quarantined
    assert graph.persons("a b y hub") == [1, 2, 2, 4]
    split, merge = graph.changes[told:]
    assert (split.before, {part.person_id: len(part.sightings) for part in split.parts}) == ((1,), {1: 1, 2: 1, 4: 1})
    assert (merge.before, [part.person_id for part in merge.parts]) == ((3,), [2])
