"""What communities are called, and which relations are taken in."""

from collections.abc import Collection, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.community import EDGE_RETENTION_US, MIN_MEMBERS, Edge, named
from bihuan_profile.domain.governance import NO_CONSENT, Consent, DataClass, Purpose
from bihuan_profile.profile_store.in_memory import MemoryProfileStore
from bihuan_profile.use_cases.ingesting import MAX_AHEAD_US
from bihuan_profile.use_cases.ports import Change
from bihuan_profile.use_cases.relating import Relating, put_edges

NOW_US = 1_500_000_000_000_000
TARGETING = frozenset({Purpose.TARGETING})
AGREED = Consent(TARGETING, frozenset({DataClass.SOCIAL}))
FRESH = [f"new{number}" for number in range(50)]

partitions = st.lists(st.integers(0, 6), min_size=1, max_size=60).map(
    lambda labels: [[p for p, label in enumerate(labels) if label == one] for one in sorted(set(labels))]
)


class KeptEdges:
    """A journal in a list."""

    def __init__(self) -> None:
        self.edges: list[Edge] = []

    async def write(self, edges: Sequence[Edge]) -> None:
        self.edges += edges

    async def read(self, person_ids: Collection[int]) -> list[Edge]:
        return [one for one in self.edges if {one.person_id, one.other_id} & set(person_ids)]


@given(partitions, st.dictionaries(st.integers(0, 59), st.sampled_from(["a", "b", "c"])))
def test_every_community_large_enough_has_one_name_of_its_own(
    communities: list[list[int]], before: dict[int, str]
) -> None:
    names = named(communities, before, FRESH)
    told = [members for members in communities if len(members) >= MIN_MEMBERS]
    assert set(names) == {person for members in told for person in members}
    assert len({names[members[0]] for members in told}) == len(told)
    for members in told:
        assert len({names[person] for person in members}) == 1


@given(partitions)
def test_the_same_communities_keep_their_names(communities: list[list[int]]) -> None:
    names = named(communities, {}, FRESH)
    assert named(list(reversed(communities)), names, ["other"]) == names


def test_a_name_goes_with_the_larger_part_of_a_community_that_comes_apart() -> None:
    before = dict.fromkeys(range(13), "a")
    names = named([list(range(5)), list(range(5, 13))], before, FRESH)
    assert (names[0], names[12]) == ("new0", "a")


@pytest.mark.parametrize(
    ("edge", "consent", "reason"),
    [
        (Edge(1, 2, 1.0, NOW_US), NO_CONSENT, "NO_CONSENT"),
        (Edge(1, 2, 1.0, NOW_US), Consent(TARGETING, frozenset({DataClass.OPERATION})), "NO_CONSENT"),
        (Edge(1, 2, 1.0, NOW_US), Consent(frozenset(), frozenset({DataClass.SOCIAL})), "NO_CONSENT"),
        (Edge(1, 2, 0.0, NOW_US), NO_CONSENT, ""),
        (Edge(1, 2, 1.0, NOW_US), AGREED, ""),
        (Edge(1, 9, 1.0, NOW_US), AGREED, "PERSON_ERASED"),
        (Edge(9, 1, 1.0, NOW_US), AGREED, "PERSON_ERASED"),
        (Edge(1, 2, 1.0, NOW_US + MAX_AHEAD_US + 1), AGREED, "TIME_OUT_OF_RANGE"),
        (Edge(1, 2, 1.0, NOW_US - EDGE_RETENTION_US - 1), AGREED, "TIME_OUT_OF_RANGE"),
        (Edge(1, 2, 1.0, NOW_US - EDGE_RETENTION_US), AGREED, ""),
    ],
)  # fmt: skip
async def test_only_consented_relations_of_living_persons_are_kept(edge: Edge, consent: Consent, reason: str) -> None:
    store, journal = MemoryProfileStore(), KeptEdges()
    await store.compare_and_set([Change(9, 0, None)])
    good = Edge(3, 4, 0.5, NOW_US)
    results = await put_edges(store, journal, NOW_US, [Relating(edge, consent), Relating(good, AGREED)])
    assert [result.reason for result in results] == [reason, ""]
    assert journal.edges == ([good] if reason else [edge, good])
