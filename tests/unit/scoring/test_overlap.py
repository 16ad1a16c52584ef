"""What audiences have in common, and what of it may be told."""

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.domain.overlap import overlaps
from bihuan_scoring.domain.reach import FLOOR
from bihuan_shared.targeting import Expression, canonical

PEOPLE = st.tuples(st.integers(1, 400), st.integers(0, 400)).map(lambda one: range(one[0], one[0] + one[1]))


def _tell(members: MemberSet, _asked: Expression) -> int | None:
    return None if len(members) < FLOOR else (len(members) + 5) // 10 * 10


def test_pairs_come_in_order_with_rounded_intersections_and_their_jaccard_index() -> None:
    sets = {"c": BitMap64(range(1, 205)), "a": BitMap64(range(101, 301)), "b": BitMap64(range(500, 549))}
    found = overlaps(sets, _tell)
    assert found.sizes == [("c", 200), ("a", 200), ("b", None)]
    assert [(one.audience_id, one.other_id, one.shared) for one in found.pairs] == [
        ("c", "a", 100),
        ("c", "b", None),
        ("a", "b", None),
    ]
    assert [one.jaccard for one in found.pairs] == [100 / 300, 0.0, 0.0]


def test_questions_say_what_is_asked_of_each_set() -> None:
    asked: list[str] = []

    def tell(members: MemberSet, question: Expression) -> int | None:
        asked.append(f"{canonical(question)}: {len(members)}")
        return len(members)

    overlaps({"a": BitMap64([1, 2]), "b": BitMap64([2])}, tell)
    assert asked == ['audience("a"): 2', 'audience("b"): 1', 'audience("a") and audience("b"): 1']


@given(st.lists(PEOPLE, min_size=2, max_size=5))
def test_nothing_below_the_floor_is_told_and_the_index_is_a_share(people: list[range]) -> None:
    sets = {f"a{index}": BitMap64(one) for index, one in enumerate(people)}
    found = overlaps(sets, _tell)
    assert len(found.pairs) == len(people) * (len(people) - 1) // 2
    for pair in found.pairs:
        shared = len(sets[pair.audience_id] & sets[pair.other_id])
        assert (pair.shared is None) == (shared < 50)
        assert 0.0 <= pair.jaccard <= 1.0
        if shared == len(sets[pair.audience_id]) == len(sets[pair.other_id]) >= 50:
            assert pair.jaccard == 1.0


def test_more_in_both_than_in_one_counts_as_all_of_it() -> None:
    answers = iter([100, 110, 120])
    found = overlaps({"a": BitMap64([1]), "b": BitMap64([1])}, lambda _members, _asked: next(answers))
    assert found.pairs[0].jaccard == 100 / 110
