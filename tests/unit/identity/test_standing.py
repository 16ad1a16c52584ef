"""Which index entries are believed, of persons that were absorbed, erased, split, restored, or are in doubt."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, MAX_GENERATION, Attachment, Part, PersonsChange
from bihuan_identity.domain.linking import BarredError
from bihuan_identity.domain.regrouping import GuardRefusedError
from bihuan_identity.domain.standing import StandingPersons
from tests.unit.identity.planned import PlannedGraph


def entry(person_id: int, generation: int = 0) -> Attachment:
    return Attachment(person_id, CERTAIN_PPM, generation)


def change(
    change_id: int, before: tuple[int, ...], after: tuple[int, ...], *generations: tuple[int, int]
) -> PersonsChange:
    return PersonsChange(change_id, 0, 0, before, tuple(Part(at) for at in after), generations)


def test_absorbed_and_erased_persons_are_not_believed() -> None:
    standing = StandingPersons()
    assert standing.believes(entry(2))
    standing.follow([change(1, (1, 2), (1,)), change(2, (3,), ())])
    assert [standing.believes(entry(at)) for at in (1, 2, 3, 4)] == [True, False, False, True]
    assert standing.last_change_id == 2


def test_entry_must_be_of_the_generation_that_its_person_has() -> None:
    standing = StandingPersons(generations=[(5, 200)])
    standing.follow([change(1, (7,), (7, 9), (7, 3))])
    assert [standing.believes(entry(7, at)) for at in range(5)] == [False, False, False, True, False]
    assert [standing.believes(entry(9, at)) for at in range(2)] == [True, False]
    assert [standing.believes(entry(5, at)) for at in (0, 199, 200)] == [False, False, True]


@given(st.lists(st.tuples(st.integers(1, 2**36 - 1), st.integers(0, MAX_GENERATION)), max_size=20))
def test_generations_are_kept_exactly(pairs: list[tuple[int, int]]) -> None:
    standing = StandingPersons(generations=pairs)
    for person_id, generation in dict(pairs).items():
        assert standing.believes(entry(person_id, generation)) == (generation < MAX_GENERATION)
        assert not standing.believes(entry(person_id, (generation + 1) % 256))


def test_last_generation_is_never_believed() -> None:
    standing = StandingPersons(generations=[(1, MAX_GENERATION)])
    assert not standing.believes(entry(1, MAX_GENERATION))
    assert not StandingPersons().believes(entry(1, MAX_GENERATION))


def test_restored_alias_is_believed_again_in_its_new_generation_only() -> None:
    standing = StandingPersons()
    standing.follow([change(1, (1, 2), (1,)), change(2, (1,), (1, 2), (1, 1), (2, 1))])
    assert [standing.believes(entry(2, at)) for at in (0, 1)] == [False, True]
    assert [standing.believes(entry(1, at)) for at in (0, 1)] == [False, True]


def test_own_changes_are_doubted_until_they_were_followed() -> None:
    standing = StandingPersons(last_change_id=3)
    own = change(5, (1, 2), (1, 8))
    standing.doubt([own, change(3, (9,), (9,))])
    assert [standing.believes(entry(at)) for at in (1, 2, 8, 9, 4)] == [False, False, False, True, True]
    standing.follow([change(4, (2,), (2, 4))])
    assert not standing.believes(entry(2))
    standing.follow([own])
    assert [standing.believes(entry(at)) for at in (1, 2, 8)] == [True, False, True]


def test_what_was_loaded_at_the_start_counts() -> None:
    standing = StandingPersons(9, [2, 3], [(1, 4)])
    assert [standing.believes(entry(at)) for at in (1, 2, 3, 4)] == [False, False, False, True]
    assert standing.believes(entry(1, 4))


NAMES = "abcdef"
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("link"), st.lists(st.sampled_from(NAMES), min_size=2, max_size=3, unique=True)),
        st.tuples(st.just("resolve"), st.lists(st.sampled_from(NAMES), min_size=1, max_size=2, unique=True)),
        st.tuples(st.just("unlink"), st.integers(0, 20)),
        st.tuples(st.just("erase"), st.sampled_from(NAMES)),
        st.tuples(st.just("revoke"), st.just("cookie")),
        st.tuples(st.just("retire"), st.just("")),
    ),
    max_size=25,
)


def take(graph: PlannedGraph, step: str, subject: list[str] | int | str) -> None:
    if step == "link" and isinstance(subject, list):
        graph.link(" ".join(subject), confidence_ppm=CERTAIN_PPM if len(subject) == 2 else 500_000)
    elif step == "resolve" and isinstance(subject, list):
        graph.resolve(" ".join(subject).upper() if "f" in subject else " ".join(subject))
    elif step == "unlink" and isinstance(subject, int) and graph.view.pieces:
        pieces = sorted(graph.view.pieces)
        graph.unlink(pieces[subject % len(pieces)])
    elif step == "erase" and isinstance(subject, str):
        (found,) = graph.resolve(subject, create=False)
        if found.person_id is not None:
            graph.erase(found.person_id)
    elif step == "revoke":
        graph.revoke("cookie")
    elif step == "retire":
        graph.retire(oldest_epoch=2 if graph.view.next.evidence_id % 3 == 0 else 1)


@pytest.mark.parametrize("restarted", [False, True])
@given(steps=STEPS)
def test_entry_of_any_time_is_believed_only_while_it_is_true(
    steps: list[tuple[str, list[str] | int | str]], *, restarted: bool
) -> None:
    """An index that was never written to again may keep every entry that there ever was; none misleads."""
    graph, standing = PlannedGraph(max_degree=3), StandingPersons()
    ever: set[tuple[bytes, Attachment]] = set()
    for step, subject in steps:
        with suppress(BarredError, GuardRefusedError):
            take(graph, step, subject)
        standing.follow(graph.changes[standing.last_change_id :])
        truth = graph.view.attachments(list(graph.view.rows))
        ever |= set(truth.items())
        seen = started(graph) if restarted else standing
        for stored, attachment in ever:
            if seen.believes(attachment):
                assert truth.get(stored) == attachment
        for attachment in truth.values():
            assert seen.believes(attachment) or attachment.generation == MAX_GENERATION


def started(graph: PlannedGraph) -> StandingPersons:
    """What a process knows that starts now."""
    view = graph.view
    erased = [at for erasure in view.erasures.values() for at in erasure.person_ids]
    generations = [(row.person_id, row.generation) for row in view.person_rows.values() if row.generation]
    return StandingPersons(view.next.change_id - 1, [*view.aliases, *erased], generations)
