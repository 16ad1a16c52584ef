"""Components and one-to-one links against what they are defined as."""

from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.linkage.clustering import Candidate, clusters_of, one_to_one

RECORDS = 10
LINKS = st.lists(
    st.tuples(st.integers(0, RECORDS - 1), st.integers(0, RECORDS - 1), st.floats(0.01, 1)).filter(
        lambda link: link[0] < link[1]
    ),
    max_size=15,
).map(lambda links: [Candidate(*link) for link in links])


@given(LINKS)
def test_records_share_a_cluster_where_links_connect_them_named_after_the_smallest(links: list[Candidate]) -> None:
    reach = [{at} for at in range(RECORDS)]
    for _ in range(RECORDS):
        for link in links:
            joined = reach[link.first] | reach[link.second]
            reach[link.first] = reach[link.second] = joined
    assert clusters_of(RECORDS, links) == [min(reached) for reached in reach]


@given(LINKS)
def test_one_to_one_leaves_each_record_its_best_free_partner_in_the_other_file(links: list[Candidate]) -> None:
    sources = [at % 2 for at in range(RECORDS)]
    across = [link for link in links if sources[link.first] != sources[link.second]]
    kept = one_to_one(across, sources)
    ends = [end for link in kept for end in (link.first, link.second)]
    assert len(ends) == len(set(ends))
    for link in set(across) - set(kept):
        rivals = [other for other in kept if {other.first, other.second} & {link.first, link.second}]
        assert any(rival.probability >= link.probability for rival in rivals)
