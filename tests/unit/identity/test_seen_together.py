from bihuan_identity.domain.resolving import Item
from bihuan_identity.domain.seen_together import REFRESH_PERIOD_US, SeenTogether
from bihuan_identity.use_cases.resolving import batch_resolve
from tests.unit.identity.builders import DAY_S, NOW_US, identity_of, item, key
from tests.unit.identity.memory_identity import MemoryGraphStore, MemoryIdentifierIndex


def later(names: str, after_us: int) -> Item:
    return item(names, time_us=NOW_US + after_us)


def test_the_same_set_is_news_once_a_day_in_whatever_order() -> None:
    seen = SeenTogether()
    assert seen.is_news(later("a b", 0))
    assert not seen.is_news(later("b a", REFRESH_PERIOD_US - 1))
    assert seen.is_news(later("a b", REFRESH_PERIOD_US))
    assert seen.is_news(later("a b c", REFRESH_PERIOD_US))


def test_the_longest_unseen_set_is_forgotten_first() -> None:
    seen = SeenTogether(max_sets=2)
    assert seen.is_news(later("a b", 0))
    assert seen.is_news(later("c d", 1))
    assert seen.is_news(later("e f", 2))
    assert not seen.is_news(later("c d", 3))
    assert seen.is_news(later("a b", 4))


async def test_identifiers_that_are_seen_together_daily_keep_their_tie() -> None:
    store = MemoryGraphStore()
    identity = identity_of(store, MemoryIdentifierIndex())
    for day in range(3):
        time_us = day * DAY_S * 1_000_000
        await batch_resolve(identity, [later("login cookie", time_us)])
        await batch_resolve(identity, [later("cookie", time_us)])
    (piece,) = store.graph.pieces.values()
    assert set(piece.members) == {key("login"), key("cookie")}
    assert piece.last_seen_s - piece.first_seen_s == 2 * DAY_S


async def test_known_identifiers_that_are_seen_together_again_the_same_day_write_nothing() -> None:
    store = MemoryGraphStore()
    identity = identity_of(store, MemoryIdentifierIndex())
    for hour in range(3):
        await batch_resolve(identity, [later("login cookie", hour * 3_600_000_000)])
    (piece,) = store.graph.pieces.values()
    assert piece.last_seen_s == piece.first_seen_s


async def test_seeing_known_identifiers_without_creation_is_no_evidence() -> None:
    store = MemoryGraphStore()
    identity = identity_of(store, MemoryIdentifierIndex())
    await batch_resolve(identity, [later("login cookie", 0)])
    await batch_resolve(identity, [item("login cookie", create=False, time_us=NOW_US + REFRESH_PERIOD_US)])
    (piece,) = store.graph.pieces.values()
    assert piece.last_seen_s == piece.first_seen_s
