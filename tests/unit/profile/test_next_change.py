"""What rules say of a person stays the same until the instant that is told, and is other from it on."""

from hypothesis import given
from hypothesis import strategies as st

from bihuan_profile.domain.behaviour import Behaviour, Event
from bihuan_profile.domain.governance import Purpose, permit_for_batch_work
from bihuan_profile.domain.next_change import next_change_us
from bihuan_profile.domain.record import EMPTY, Record, fold
from bihuan_profile.domain.view import release
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_shared.clock import DAY_US, MINUTE_US

NOW_US = 1_500_000_000_000_000
TAXONOMY = packaged_taxonomy()
PERMIT = permit_for_batch_work(Purpose.TARGETING)
HISTORIES = st.lists(st.tuples(st.sampled_from(Behaviour), st.integers(0, 400)), max_size=6)


def _record(history: list[tuple[Behaviour, int]], ahead_us: int = 0) -> Record:
    events = [
        Event(1, str(at), behaviour, NOW_US - days * DAY_US + ahead_us, ("brand:acme",))
        for at, (behaviour, days) in enumerate(history)
    ]
    return fold(EMPTY, events)


def _told(record: Record, now_us: int) -> tuple[object, ...]:
    view = release(record, PERMIT, now_us, TAXONOMY)
    relations = tuple((one.brand, one.stage, one.aipl) for one in view.relations)
    return view.segments, relations, tuple((one.name, one.fact.value) for one in view.attributes)


@given(HISTORIES, st.integers(0, 400))
def test_rules_say_the_same_until_then(history: list[tuple[Behaviour, int]], later_days: int) -> None:
    record = _record(history)
    change_us = next_change_us(record, NOW_US)
    later_us = NOW_US + later_days * DAY_US
    if change_us is None or later_us < change_us:
        assert _told(record, later_us) == _told(record, NOW_US)
    if change_us is not None:
        assert _told(record, change_us - 1) == _told(record, NOW_US)


def test_a_person_who_ordered_lapses_at_the_instant_that_is_told() -> None:
    record = _record([(Behaviour.ORDER, 400), (Behaviour.ORDER, 60)])
    change_us = next_change_us(record, NOW_US)
    assert change_us is not None
    assert "lapsed" not in _told(record, change_us - 1)[0]  # type: ignore[operator]
    assert "lapsed" in _told(record, change_us)[0]  # type: ignore[operator]


def test_decay_begins_at_the_newest_event_where_that_is_ahead() -> None:
    record = _record([(Behaviour.SEARCH, 0)], ahead_us=MINUTE_US)
    assert next_change_us(record, NOW_US) == NOW_US + MINUTE_US
