"""Components and strongest paths, against the plainest ways to find them."""

from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, EvidenceKind, Piece
from bihuan_identity.domain.partition import connected, merging_members, neighbours, strongest_paths
from tests.unit.identity.builders import key

NAMES = [key(name) for name in "abcdefgh"]
GROUPS = st.lists(st.lists(st.sampled_from(NAMES), max_size=4, unique=True), max_size=10)
RATED = st.lists(
    st.tuples(
        st.sampled_from([CERTAIN_PPM, 900_000, 500_000, 200_000]),
        st.lists(st.sampled_from(NAMES), min_size=2, max_size=4, unique=True),
    ),
    max_size=10,
)


def reached(start: bytes, groups: list[list[bytes]]) -> set[bytes]:
    """The reference: whatever can be reached, by looking again and again."""
    found = {start}
    while True:
        more = {member for group in groups if found & set(group) for member in group}
        if more <= found:
            return found
        found |= more


def piece(names: str) -> Piece:
    return Piece(1, 1, EvidenceKind.DETERMINISTIC, "test", CERTAIN_PPM, 0, 0, tuple(key(name) for name in names))


@given(GROUPS)
def test_components_are_what_can_be_reached(groups: list[list[bytes]]) -> None:
    parts = connected(NAMES, groups)
    assert sorted(member for part in parts for member in part) == sorted(NAMES)
    for part in parts:
        assert set(part) == reached(part[0], groups)


def test_components_come_in_the_order_of_their_first_keys() -> None:
    a, b, c, d = NAMES[:4]
    assert connected([b, a, d, c], [[c, a]]) == [[b], [a, c], [d]]


@given(st.sampled_from(NAMES), RATED)
def test_confidence_is_the_weakest_link_on_the_strongest_path(
    origin: bytes, pieces: list[tuple[int, list[bytes]]]
) -> None:
    component = reached(origin, [members for _, members in pieces])
    inside = [rated for rated in pieces if component & set(rated[1])]
    found = strongest_paths(origin, component, inside)
    assert found.keys() == component
    for end in component - {origin}:
        assert found[end] == max(
            least
            for least, _ in inside
            if end in reached(origin, [members for confidence, members in inside if confidence >= least])
        )
    assert found[origin] == CERTAIN_PPM


def test_two_strong_links_beat_one_weak() -> None:
    a, b, c = NAMES[:3]
    pieces = [(300_000, [a, c]), (900_000, [a, b]), (800_000, [b, c])]
    assert strongest_paths(a, [a, b, c], pieces) == {a: CERTAIN_PPM, b: 900_000, c: 800_000}


def test_neighbours_are_all_others_of_the_pieces_that_name_a_key() -> None:
    assert neighbours(key("a"), [piece("ab"), piece("cab"), piece("xy")]) == {key("b"), key("c")}
    assert neighbours(key("z"), [piece("ab")]) == set()


def test_quarantined_members_do_not_merge() -> None:
    assert merging_members(piece("abc"), {key("b")}) == (key("a"), key("c"))
    assert merging_members(piece("abc"), {key("z")}) == (key("a"), key("b"), key("c"))
    assert merging_members(piece("ab"), {key("a"), key("b")}) == ()
