"""Links: which persons they make, how repeated ones are recognised, and what refuses them."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, Claim, EvidenceKind
from bihuan_identity.domain.linking import ContentConflictError, LinkCommand, plan_links
from bihuan_identity.domain.regrouping import GuardRefusedError
from bihuan_identity.domain.working import Linked
from tests.unit.identity.builders import claim, key, link_of
from tests.unit.identity.planned import PlannedGraph

NAMES = "abcdefgh"
LINKS = st.lists(
    st.tuples(
        st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True),
        st.sampled_from([CERTAIN_PPM, 900_000, 500_000, 200_000]),
    ),
    max_size=12,
)


@given(LINKS)
def test_persons_are_the_connected_components_and_the_oldest_id_survives(links: list[tuple[list[str], int]]) -> None:
    graph = PlannedGraph()
    component: dict[str, int] = {}
    next_id = 1
    for names, confidence_ppm in links:
        graph.link(" ".join(names), confidence_ppm=confidence_ppm)
        known = {component[name] for name in names if name in component}
        survivor = min(known, default=next_id)
        next_id += not known
        component = {name: survivor if at in known else at for name, at in component.items()}
        component.update(dict.fromkeys(names, survivor))
    assert {name: graph.node(name).person_id for name in NAMES if key(name) in graph.view.rows} == component


@given(LINKS)
def test_every_id_ever_handed_out_stays_an_alias_of_its_survivor(links: list[tuple[list[str], int]]) -> None:
    graph = PlannedGraph()
    for names, confidence_ppm in links:
        graph.link(" ".join(names), confidence_ppm=confidence_ppm)
    alive = {node.person_id for node in graph.view.rows.values()}
    assert set(graph.view.person_rows) == alive | set(graph.view.aliases)
    assert {alias.person_id for alias in graph.view.aliases.values()} <= alive
    assert not alive & set(graph.view.aliases)


def test_older_person_survives_whatever_the_order_of_identifiers() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    graph.link("c d")
    assert graph.link("d a") == Linked(1, (2,), 3, quarantined=False)
    (change,) = graph.changes
    assert (change.change_id, change.evidence_id, change.before) == (1, 3, (1, 2))
    assert [(part.person_id, part.sightings) for part in change.parts] == [(1, ())]


def test_addition_to_a_person_is_not_published() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    assert graph.link("b c").merged_person_ids == ()
    assert graph.changes == []


def test_repeated_request_is_answered_as_before_and_changes_nothing() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    graph.link("x y")
    first = graph.link("a x", request_id="merge")
    graph.link("a z")
    counters, pieces = graph.view.next, dict(graph.view.pieces)
    graph.time_s += 1_000
    assert graph.link("x a", request_id="merge") == first
    assert (graph.view.next, graph.view.pieces) == (counters, pieces)


def test_request_that_comes_twice_in_one_batch_is_carried_out_once() -> None:
    graph = PlannedGraph()
    command = graph.command("a b", claim(), "r")
    other = graph.command("a c", claim(), "r")
    change, (first, second, third) = plan_links(graph.view, [command, command, other], graph.rules, epoch=1)
    assert first == second == Linked(1, (), 1, quarantined=False)
    assert isinstance(third, ContentConflictError)
    assert (len(change.pieces), len(change.requests)) == (1, 1)


def test_links_of_one_batch_see_each_other() -> None:
    graph = PlannedGraph(max_cluster_size=3)
    commands = [graph.command(names, claim()) for names in ("a b", "x y", "a x", "b c")]
    change, outcomes = plan_links(graph.view, commands, graph.rules, epoch=1)
    graph.view.apply(change)
    assert isinstance(outcomes[2], GuardRefusedError)
    assert [outcome.person_id for outcome in outcomes if isinstance(outcome, Linked)] == [1, 2, 1]
    assert graph.persons("a b c x y") == [1, 1, 1, 2, 2]


@pytest.mark.parametrize(("names", "confidence_ppm"), [("a c", CERTAIN_PPM), ("a b", 7), ("a b c", CERTAIN_PPM)])
def test_request_id_with_other_content_is_refused(names: str, confidence_ppm: int) -> None:
    graph = PlannedGraph()
    evidence_id = graph.link("a b", request_id="r").evidence_id
    with pytest.raises(ContentConflictError):
        graph.link(names, confidence_ppm=confidence_ppm, request_id="r")
    with pytest.raises(ContentConflictError):
        graph.unlink(evidence_id, request_id="r")


def test_request_ids_of_two_callers_do_not_meet() -> None:
    graph = PlannedGraph()
    graph.link("a b", request_id="r", caller="one")
    assert graph.link("x y", request_id="r", caller="two").person_id == 2


def test_cluster_guard_refuses_a_merge_beyond_the_size_and_changes_nothing() -> None:
    graph = PlannedGraph(max_cluster_size=4)
    graph.link("a b c")
    graph.link("x y")
    rows, counters = dict(graph.view.rows), graph.view.next
    with pytest.raises(GuardRefusedError, match="5 identifiers, more than 4"):
        graph.link("a x", request_id="refused")
    assert (graph.view.rows, graph.view.next, graph.view.aliases) == (rows, counters, {})
    assert graph.view.requests([("gateway", "refused")]) == []
    graph.link("a d")
    assert graph.persons("a b c d") == [1] * 4


def test_person_takes_no_evidence_without_end() -> None:
    graph = PlannedGraph(max_cluster_size=4)
    claims = [Claim(EvidenceKind.DETERMINISTIC, f"s{at}", CERTAIN_PPM, None) for at in range(33)]
    commands = [graph.command("a b", each) for each in claims]
    _, outcomes = plan_links(graph.view, commands, graph.rules, epoch=1)
    assert [isinstance(outcome, Linked) for outcome in outcomes] == [True] * 32 + [False]
    assert isinstance(outcomes[-1], GuardRefusedError)


def test_repeated_evidence_moves_the_time_it_was_last_seen() -> None:
    graph = PlannedGraph()
    first = graph.link("a b")
    graph.time_s += 500
    again = graph.link("b a")
    assert again == first
    (piece,) = graph.view.pieces.values()
    assert (piece.last_seen_s - piece.first_seen_s, graph.view.next.evidence_id) == (500, 2)
    assert graph.changes == []


def test_evidence_that_was_observed_long_ago_does_not_turn_the_time_back() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    seen_s = graph.view.pieces[1].last_seen_s
    old = Claim(EvidenceKind.DETERMINISTIC, "test", CERTAIN_PPM, 5_000_000)
    change, _ = plan_links(graph.view, [graph.command("a b", old)], graph.rules, epoch=1)
    graph.view.apply(change)
    assert graph.view.pieces[1].last_seen_s == seen_s
    change, _ = plan_links(graph.view, [graph.command("x y", old)], graph.rules, epoch=1)
    graph.view.apply(change)
    assert (graph.view.pieces[2].first_seen_s, graph.view.pieces[2].last_seen_s) == (5, 5)


def test_other_source_or_kind_is_evidence_of_its_own() -> None:
    graph = PlannedGraph()
    graph.link("a b")
    other = Claim(EvidenceKind.DETERMINISTIC, "other", CERTAIN_PPM, None)
    change, _ = plan_links(graph.view, [graph.command("a b", other)], graph.rules, epoch=1)
    graph.view.apply(change)
    graph.link("a b", confidence_ppm=500_000)
    assert len(graph.view.pieces) == 3
    assert graph.node("b").confidence_ppm == CERTAIN_PPM


def test_repeated_inference_with_another_confidence_rates_anew_and_says_so() -> None:
    graph = PlannedGraph()
    graph.link("a b", confidence_ppm=600_000)
    graph.link("b c", confidence_ppm=900_000)
    assert [graph.node(name).confidence_ppm for name in "abc"] == [CERTAIN_PPM, 600_000, 600_000]
    assert graph.link("a b", confidence_ppm=700_000).evidence_id == 1
    assert [graph.node(name).confidence_ppm for name in "abc"] == [CERTAIN_PPM, 700_000, 700_000]
    (change,) = graph.changes
    assert (change.before, change.generations, change.evidence_id) == ((1,), ((1, 1),), 1)
    assert graph.generation(1) == 1


def test_observed_link_makes_an_inferred_one_certain() -> None:
    graph = PlannedGraph()
    graph.link("a b", confidence_ppm=600_000)
    assert graph.node("b").confidence_ppm == 600_000
    graph.link("a b")
    assert graph.node("b").confidence_ppm == CERTAIN_PPM


@given(st.permutations("abc"))
def test_content_digest_ignores_the_order_of_identifiers(names: list[str]) -> None:
    assert link_of(" ".join(names)).body_sha256() == link_of("a b c").body_sha256()
    assert all(link_of(f"{a} {b}").body_sha256() != link_of("a b c").body_sha256() for a, b in combinations("abc", 2))


def test_content_digest_covers_every_part_of_the_claim() -> None:
    claims = [
        Claim(EvidenceKind.DETERMINISTIC, "s", CERTAIN_PPM, None),
        Claim(EvidenceKind.PROBABILISTIC, "s", CERTAIN_PPM, None),
        Claim(EvidenceKind.DETERMINISTIC, "t", CERTAIN_PPM, None),
        Claim(EvidenceKind.DETERMINISTIC, "s", 1, None),
        Claim(EvidenceKind.DETERMINISTIC, "s", CERTAIN_PPM, 0),
    ]
    identifiers = PlannedGraph().identifiers("a b")
    commands = [LinkCommand("c", "r", identifiers, each, time_us) for each in claims for time_us in (1, 2)]
    assert len({command.body_sha256() for command in commands}) == len(claims)
