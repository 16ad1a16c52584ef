from collections.abc import Sequence
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, Evidence, EvidenceKind
from bihuan_identity.domain.linking import (
    ContentConflictError,
    GuardRefusedError,
    LinkCommand,
    check_cluster_size,
    check_degrees,
    plan_link,
    strongest_paths,
)
from tests.unit.identity.builders import MAX_CLUSTER_SIZE, identifier, key, link_of
from tests.unit.identity.memory_identity import MemoryGraphView

NAMES = "abcdefgh"
LINKS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True),
        st.sampled_from([CERTAIN_PPM, 900_000, 500_000, 200_000]),
    ),
    max_size=12,
)


def carry_out(graph: MemoryGraphView, command: LinkCommand, max_cluster_size: int = MAX_CLUSTER_SIZE) -> int:
    change, outcome = plan_link(graph, command, max_cluster_size=max_cluster_size)
    if change is not None:
        graph.apply(change)
    return outcome.person_id


class UnionFind:
    """The reference: components by repeated relabelling, each named after its oldest member person."""

    def __init__(self) -> None:
        self.component: dict[str, int] = {}
        self.next = 1

    def join(self, names: Sequence[str]) -> None:
        known = {self.component[name] for name in names if name in self.component}
        if known:
            survivor = min(known)
        else:
            survivor, self.next = self.next, self.next + 1
        for name, component in self.component.items():
            if component in known:
                self.component[name] = survivor
        self.component.update(dict.fromkeys(names, survivor))


@given(LINKS)
def test_persons_are_the_connected_components_and_the_oldest_id_survives(links: list[tuple[list[str], int]]) -> None:
    graph, reference = MemoryGraphView(), UnionFind()
    for names, confidence_ppm in links:
        carry_out(graph, link_of(" ".join(names), confidence_ppm=confidence_ppm))
        reference.join(names)
    found = graph.attachments([key(name) for name in NAMES])
    assert {name: found[key(name)].person_id for name in NAMES if key(name) in found} == reference.component


@given(LINKS)
def test_every_id_ever_handed_out_stays_an_alias_of_its_survivor(links: list[tuple[list[str], int]]) -> None:
    graph = MemoryGraphView()
    for names, confidence_ppm in links:
        carry_out(graph, link_of(" ".join(names), confidence_ppm=confidence_ppm))
    alive = {row.attachment.person_id for row in graph.rows.values()}
    assert set(graph.persons) == alive | set(graph.aliases)
    assert set(graph.aliases.values()) <= alive
    assert not alive & set(graph.aliases)


@given(LINKS)
def test_confidence_is_the_weakest_link_on_the_strongest_path(links: list[tuple[list[str], int]]) -> None:
    graph = MemoryGraphView()
    for names, confidence_ppm in links:
        carry_out(graph, link_of(" ".join(names), confidence_ppm=confidence_ppm))
    for row in graph.rows.values():
        founder = graph.persons[row.attachment.person_id].founder
        assert row.attachment.confidence_ppm == widest_path(graph.pieces, founder, row.key)


def widest_path(pieces: Sequence[Evidence], start: bytes, end: bytes) -> int:
    """The reference: the highest confidence such that links at least that strong connect the two."""
    for least in sorted({piece.confidence_ppm for piece in pieces} | {CERTAIN_PPM}, reverse=True):
        reached = {start}
        while True:
            more = {
                member
                for piece in pieces
                if piece.confidence_ppm >= least and reached & set(piece.members)
                for member in piece.members
            }
            if more <= reached:
                break
            reached |= more
        if end in reached:
            return least
    raise AssertionError("not connected")


def test_older_person_survives_whatever_the_order_of_identifiers() -> None:
    graph = MemoryGraphView()
    carry_out(graph, link_of("a b"))
    carry_out(graph, link_of("c d"))
    change, outcome = plan_link(graph, link_of("d a"), max_cluster_size=MAX_CLUSTER_SIZE)
    assert change is not None
    assert (outcome.person_id, outcome.merged_person_ids) == (1, (2,))
    assert [(merge.survivor_id, merge.absorbed_id) for merge in change.merges] == [(1, 2)]


def test_repeated_request_is_answered_as_before_and_changes_nothing() -> None:
    graph = MemoryGraphView()
    carry_out(graph, link_of("a b", request_id="r"))
    carry_out(graph, link_of("x y"))
    _, first = plan_link(graph, link_of("a x", request_id="merge"), max_cluster_size=MAX_CLUSTER_SIZE)
    carry_out(graph, link_of("a x", request_id="merge"))
    change, repeated = plan_link(graph, link_of("x a", request_id="merge"), max_cluster_size=MAX_CLUSTER_SIZE)
    assert change is None
    assert repeated == first


@pytest.mark.parametrize("other", [link_of("a c", request_id="r"), link_of("a b", request_id="r", confidence_ppm=7)])
def test_request_id_with_other_content_is_refused(other: LinkCommand) -> None:
    graph = MemoryGraphView()
    carry_out(graph, link_of("a b", request_id="r"))
    with pytest.raises(ContentConflictError):
        plan_link(graph, other, max_cluster_size=MAX_CLUSTER_SIZE)


def test_request_ids_of_two_callers_do_not_meet() -> None:
    graph = MemoryGraphView()
    carry_out(graph, link_of("a b", request_id="r", caller="one"))
    assert carry_out(graph, link_of("x y", request_id="r", caller="two")) == 2


def test_cluster_guard_refuses_a_merge_beyond_the_size_and_changes_nothing() -> None:
    graph = MemoryGraphView()
    carry_out(graph, link_of("a b c"))
    carry_out(graph, link_of("x y"))
    with pytest.raises(GuardRefusedError, match="5 identifiers, more than 4"):
        carry_out(graph, link_of("a x"), max_cluster_size=4)
    assert graph.aliases == {}
    carry_out(graph, link_of("a x"), max_cluster_size=5)


@pytest.mark.parametrize(("size", "bound", "refused"), [(4, 4, False), (5, 4, True)])
def test_cluster_size_bound_is_inclusive(size: int, bound: int, *, refused: bool) -> None:
    if refused:
        with pytest.raises(GuardRefusedError):
            check_cluster_size(size, bound)
    else:
        check_cluster_size(size, bound)


def test_degree_counts_distinct_other_identifiers_old_and_new() -> None:
    hub = identifier("hub", max_degree=3)
    others = [identifier(name) for name in "abc"]
    check_degrees([hub, *others[:2]], {hub.key: {key("a"), key("z")}})
    with pytest.raises(GuardRefusedError, match="4 neighbours, more than 3"):
        check_degrees([hub, *others], {hub.key: {key("z")}})


def test_strongest_path_prefers_two_strong_links_to_one_weak() -> None:
    def piece(names: str, confidence_ppm: int) -> Evidence:
        members = tuple(key(name) for name in names.split())
        return Evidence(1, EvidenceKind.PROBABILISTIC, "test", confidence_ppm, 0, 0, members)

    paths = strongest_paths(key("a"), [piece("a c", 300_000), piece("a b", 900_000), piece("b c", 800_000)])
    assert paths == {key("a"): CERTAIN_PPM, key("b"): 900_000, key("c"): 800_000}


def test_observed_link_makes_an_inferred_one_certain() -> None:
    graph = MemoryGraphView()
    carry_out(graph, link_of("a b", confidence_ppm=600_000))
    assert graph.rows[key("b")].attachment.confidence_ppm == 600_000
    carry_out(graph, link_of("a b"))
    assert graph.rows[key("b")].attachment.confidence_ppm == CERTAIN_PPM


@given(st.permutations("abc"))
def test_content_digest_ignores_the_order_of_identifiers(names: list[str]) -> None:
    assert link_of(" ".join(names)).body_sha256() == link_of("a b c").body_sha256()
    assert all(link_of(f"{a} {b}").body_sha256() != link_of("a b c").body_sha256() for a, b in combinations("abc", 2))
