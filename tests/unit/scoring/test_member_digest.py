"""Two sets of the same persons have one digest, however they came to be, and so are told the same."""

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap64

from bihuan_scoring.use_cases.telling import digest_of

RUNS = st.lists(st.tuples(st.integers(1, 300_000), st.integers(1, 70_000)), max_size=3)


@given(
    runs=RUNS,
    single=st.sets(st.integers(1, 2**40), max_size=200),
    gone=st.sets(st.integers(1, 300_000), max_size=200),
    optimized=st.booleans(),
)
def test_same_persons_have_one_digest_by_whatever_way_they_came_in(
    *, runs: list[tuple[int, int]], single: set[int], gone: set[int], optimized: bool
) -> None:
    wanted = single.union(*(range(first, first + length) for first, length in runs)) - gone
    direct, grown = BitMap64(sorted(wanted)), BitMap64(sorted(wanted | gone))
    if optimized:
        grown.run_optimize()
    for person_id in gone:
        grown.discard(person_id)
    parts = [BitMap64(range(first, first + length)) for first, length in runs]
    joined = BitMap64(sorted(single))
    for part in parts:
        joined |= part
    joined -= BitMap64(sorted(gone))
    assert digest_of(direct) == digest_of(grown) == digest_of(joined)
    grown.add(2**41)
    assert digest_of(direct) != digest_of(grown)
