"""Who keeps which id when the evidence about some persons has changed."""

from collections.abc import Mapping

import pytest

from bihuan_identity.domain.graph import CERTAIN_PPM, Alias, EvidenceKind, Node, Piece
from bihuan_identity.domain.regrouping import Grouping, GuardRefusedError, Region, regroup
from tests.unit.identity.builders import key


def region(
    persons: Mapping[int, str],
    pieces: Mapping[int, str],
    *,
    anchors: Mapping[int, int],
    aliases: tuple[Alias, ...] = (),
    quarantined: str = "",
    ordinals: Mapping[str, int] | None = None,
) -> Region:
    """Persons and pieces by id, each with its identifiers, one letter each; those of person 0 are new."""
    nodes = {
        key(name): Node(key(name), "login", person_id, 0, 0, 1, ordinal=(ordinals or {}).get(name))
        for person_id, names in persons.items()
        for name in names
    }
    evidence = [
        Piece(at, 0, EvidenceKind.DETERMINISTIC, "test", CERTAIN_PPM, 0, 0, tuple(key(name) for name in names))
        for at, names in pieces.items()
    ]
    return Region(anchors, nodes, evidence, {key(name) for name in quarantined}, aliases)


def grouped(subject: Region, *, next_person_id: int = 100, max_cluster_size: int = 512) -> Grouping:
    return regroup(subject, next_person_id=next_person_id, max_cluster_size=max_cluster_size)


def persons_of(grouping: Grouping) -> dict[int, set[bytes]]:
    return {person.person_id: set(person.confidences) for person in grouping.persons}


def keys(names: str) -> set[bytes]:
    return {key(name) for name in names}


def test_smallest_id_stands_and_the_others_become_aliases_with_their_anchors() -> None:
    grouping = grouped(region({4: "ab", 2: "cd", 0: "z"}, {1: "ab", 3: "cd", 9: "bcz"}, anchors={4: 1, 2: 3}))
    assert persons_of(grouping) == {2: keys("abcdz")}
    assert grouping.aliases == (Alias(4, 2, 1),)
    (person,) = grouping.persons
    assert (person.anchor, person.created) == (3, False)


def test_id_stays_with_the_part_that_has_what_it_rests_on() -> None:
    grouping = grouped(region({1: "abcd"}, {5: "ab", 3: "cd"}, anchors={1: 5}))
    assert persons_of(grouping) == {1: keys("ab"), 100: keys("cd")}
    assert [person.anchor for person in grouping.persons] == [5, 3]


def test_id_whose_ground_is_gone_goes_to_the_part_with_the_oldest_evidence_left() -> None:
    grouping = grouped(region({1: "abcd"}, {5: "ab", 3: "cd"}, anchors={1: 2}))
    assert persons_of(grouping) == {1: keys("cd"), 100: keys("ab")}


def test_alias_whose_ground_is_elsewhere_stands_again() -> None:
    grouping = grouped(region({1: "abcd"}, {1: "ab", 3: "cd"}, anchors={1: 1}, aliases=(Alias(2, 1, 3),)))
    assert persons_of(grouping) == {1: keys("ab"), 2: keys("cd")}
    assert grouping.aliases == ()


def test_alias_goes_along_with_the_evidence_it_rests_on() -> None:
    aliases = (Alias(2, 1, 3), Alias(5, 1, 4), Alias(6, 1, 77))
    grouping = grouped(region({1: "abcd"}, {1: "ab", 3: "cd", 4: "cd"}, anchors={1: 1}, aliases=aliases))
    assert persons_of(grouping) == {1: keys("ab"), 2: keys("cd")}
    # The sixth rests on nothing any more, so it stays with the person it stood for.
    assert grouping.aliases == (Alias(6, 1, 77), Alias(5, 2, 4)) or set(grouping.aliases) == {
        Alias(6, 1, 77),
        Alias(5, 2, 4),
    }


def test_new_ids_are_given_in_the_order_of_evidence() -> None:
    grouping = grouped(region({1: "abcdefx"}, {9: "ef", 7: "cd", 1: "ab"}, anchors={1: 1}, ordinals={"x": 8}))
    assert persons_of(grouping) == {1: keys("ab"), 100: keys("cd"), 101: keys("x"), 102: keys("ef")}
    assert [person.created for person in grouping.persons] == [False, True, True, True]


def test_quarantined_identifier_is_a_person_of_its_own_and_comes_last() -> None:
    grouping = grouped(region({1: "hab"}, {1: "ha", 2: "hb"}, anchors={1: 1}, quarantined="h"))
    by_id = persons_of(grouping)
    assert sorted(map(len, by_id.values())) == [1, 1, 1]
    assert by_id[1] in (keys("a"), keys("b"))


def test_id_that_rests_on_nothing_stays_with_its_only_identifier() -> None:
    grouping = grouped(region({7: "a"}, {}, anchors={7: 3}))
    assert persons_of(grouping) == {7: keys("a")}
    assert grouping.persons[0].anchor == 0


def test_person_without_identifiers_is_gone() -> None:
    assert grouped(region({}, {}, anchors={7: 3})) == Grouping((), ())


@pytest.mark.parametrize(
    ("before", "pieces", "refused"),
    [
        ({1: "ab", 2: "cd"}, {1: "ab", 2: "cd", 3: "bc"}, True),
        ({1: "abcd"}, {1: "abcd"}, False),
        ({1: "abcde"}, {1: "abcd"}, False),
        ({1: "abcd", 0: "e"}, {1: "abcd", 2: "de"}, True),
        ({1: "abc"}, {1: "abc"}, False),
        ({0: "abcd"}, {1: "abcd"}, True),
    ],
)
def test_guard_refuses_only_parts_larger_than_allowed_and_than_any_before(
    before: dict[int, str], pieces: dict[int, str], *, refused: bool
) -> None:
    subject = region(before, pieces, anchors={person_id: person_id for person_id in before if person_id})
    if refused:
        with pytest.raises(GuardRefusedError, match="more than 3"):
            grouped(subject, max_cluster_size=3)
    else:
        grouped(subject, max_cluster_size=3)
