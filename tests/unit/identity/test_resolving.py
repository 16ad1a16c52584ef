import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import CERTAIN_PPM, RESOLVE_SOURCE, Attachment, EvidenceKind
from bihuan_identity.domain.linking import plan_link
from bihuan_identity.domain.resolving import NOBODY, Item, Resolution, answer, plan_resolve
from tests.unit.identity.builders import MAX_CLUSTER_SIZE, NOW_US, identifier, item, key, link_of
from tests.unit.identity.memory_identity import MemoryGraphView


def resolve(graph: MemoryGraphView, *items: Item, max_cluster_size: int = MAX_CLUSTER_SIZE) -> list[Resolution]:
    change, resolutions = plan_resolve(graph, items, max_cluster_size=max_cluster_size)
    graph.apply(change)
    return list(resolutions)


def test_unknown_identifiers_are_nobody_unless_creation_is_asked_for() -> None:
    graph = MemoryGraphView()
    assert resolve(graph, item("a", create=False)) == [NOBODY]
    assert graph.persons == {}


def test_identifiers_of_one_item_become_one_person_tied_by_evidence() -> None:
    graph = MemoryGraphView()
    assert resolve(graph, item("a b c")) == [Resolution(1, CERTAIN_PPM, created=True)]
    assert resolve(graph, item("b", create=False), item("c", create=False)) == [Resolution(1, CERTAIN_PPM)] * 2
    (piece,) = graph.pieces
    assert (piece.kind, piece.source) == (EvidenceKind.DETERMINISTIC, RESOLVE_SOURCE)
    assert set(piece.members) == {key("a"), key("b"), key("c")}


def test_one_identifier_needs_no_evidence() -> None:
    graph = MemoryGraphView()
    resolve(graph, item("a"))
    assert graph.pieces == []


def test_items_of_one_batch_see_each_other() -> None:
    resolutions = resolve(MemoryGraphView(), item("a b"), item("b c"), item("c", create=False), item("z"))
    assert [resolution.person_id for resolution in resolutions] == [1, 1, 1, 2]
    assert [resolution.created for resolution in resolutions] == [True, False, False, True]


def test_new_identifier_beside_a_known_one_attaches_to_its_person() -> None:
    graph = MemoryGraphView()
    resolve(graph, item("a"))
    assert resolve(graph, item("new a")) == [Resolution(1, CERTAIN_PPM)]
    assert graph.rows[key("new")].attachment.person_id == 1
    assert graph.pieces[-1].source == RESOLVE_SOURCE


def test_attached_identifier_is_as_sure_as_the_surest_known_one() -> None:
    graph = MemoryGraphView()
    change, _ = plan_link(graph, link_of("a b", confidence_ppm=400_000), max_cluster_size=MAX_CLUSTER_SIZE)
    assert change is not None
    graph.apply(change)
    resolve(graph, item("b x"), item("b a y"))
    assert graph.rows[key("x")].attachment.confidence_ppm == 400_000
    assert graph.rows[key("y")].attachment.confidence_ppm == CERTAIN_PPM


def test_item_that_points_to_two_persons_answers_the_oldest_and_changes_nothing() -> None:
    graph = MemoryGraphView()
    resolve(graph, item("a"), item("b"))
    assert resolve(graph, item("b a new")) == [Resolution(1, CERTAIN_PPM, ambiguous=True)]
    assert key("new") not in graph.rows
    assert graph.aliases == {}
    assert graph.pieces == []


def test_full_person_takes_no_more_identifiers_and_is_still_answered() -> None:
    graph = MemoryGraphView()
    resolve(graph, item("a b"))
    assert resolve(graph, item("a c d"), max_cluster_size=3) == [Resolution(1, CERTAIN_PPM)]
    assert key("c") not in graph.rows
    resolve(graph, item("a c"), max_cluster_size=3)
    assert graph.rows[key("c")].attachment.person_id == 1


def test_shared_machine_takes_no_more_neighbours() -> None:
    graph = MemoryGraphView()
    hub = identifier("hub", max_degree=2)
    resolve(graph, *(Item((hub, identifier(name)), create=True, time_us=NOW_US) for name in "abc"))
    assert set(graph.rows) == {key("hub"), key("a"), key("b")}


def test_confidence_is_that_of_the_weakest_identifier_and_its_trust() -> None:
    sure, weak = identifier("sure"), identifier("weak", trust_ppm=500_000)
    known = {sure.key: Attachment(1, CERTAIN_PPM), weak.key: Attachment(1, 800_000)}
    assert answer(Item((sure,), create=False, time_us=NOW_US), known).confidence_ppm == CERTAIN_PPM
    assert answer(Item((sure, weak), create=False, time_us=NOW_US), known).confidence_ppm == 500_000


NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)


@pytest.mark.parametrize("create", [True, False])
@given(batch=st.lists(NAMES, min_size=1, max_size=8))
def test_repeating_a_batch_gives_the_same_persons_and_writes_nothing(batch: list[list[str]], *, create: bool) -> None:
    graph = MemoryGraphView()
    resolve(graph, *(item(" ".join(names), create=create) for names in batch))
    again = [item(" ".join(names), create=create) for names in batch]
    first = resolve(graph, *again)
    counters = graph.next
    assert resolve(graph, *again) == first
    assert graph.next == counters


@given(batch=st.lists(NAMES, min_size=1, max_size=8))
def test_one_batch_gives_the_partition_of_its_items_one_by_one(batch: list[list[str]]) -> None:
    together, apart = MemoryGraphView(), MemoryGraphView()
    items = [item(" ".join(names)) for names in batch]
    at_once = resolve(together, *items)
    one_by_one = [resolution for each in items for resolution in resolve(apart, each)]
    assert at_once == one_by_one
    assert together.rows == apart.rows
    assert together.pieces == apart.pieces


@given(st.lists(st.tuples(st.integers(1, 3), st.sampled_from([CERTAIN_PPM, 700_000, 200_000])), max_size=6))
def test_answer_is_the_oldest_person_at_its_weakest_identifier(attached: list[tuple[int, int]]) -> None:
    identifiers = [identifier(f"n{at}") for at in range(len(attached) + 1)]
    known = {one.key: Attachment(*where) for one, where in zip(identifiers, attached, strict=False)}
    found = answer(Item(tuple(identifiers), create=False, time_us=NOW_US), known)
    if not attached:
        assert found == NOBODY
        return
    oldest = min(person_id for person_id, _ in attached)
    weakest = min(confidence_ppm for person_id, confidence_ppm in attached if person_id == oldest)
    assert found == Resolution(oldest, weakest, ambiguous=len({person_id for person_id, _ in attached}) > 1)
