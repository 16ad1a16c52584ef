"""Labels are what had happened by the cut-off, and nothing else."""

from collections.abc import Callable, Mapping

import pytest

from bihuan_scoring.records import LabelledRow, read_labelled_rows
from bihuan_shared.clock import DAY_US, parse_rfc3339_us
from bihuan_shared.errors import NotFound

CUT_OFF_US = parse_rfc3339_us("2017-08-15T00:00:00Z")
START_US = CUT_OFF_US - 100 * DAY_US
DAY_S = 86_400.0

Row = dict[str, object]
WriteLake = Callable[[str, list[Row]], str]


def _decision(n: int, **changes: object) -> Row:
    candidate = {"creative_id": "cr1", "campaign_id": "c1", "advertiser_id": "a1", "tags": ["category:tea"]}
    scored: Row = {**candidate, "pctr": 0.01, "pcvr": 0.02, "ecpm_micros": 1_000}
    row: Row = {"decision_id": f"d{n}", "request_time_us": START_US + n * 1_000_000, "person_id": n + 1}
    row |= {"profile": b"", "placement_id": "p1", "channel": "email", "traffic_source": "ecommerce", "keywords": ["k"]}
    row |= {"candidates": [scored], "winner_creative_id": "cr1", "propensity": 1.0, "model_version": "prior"}
    return row | changes


def _event(event_type: str, n: int, delay_s: float, **changes: object) -> Row:
    time_us = START_US + n * 1_000_000 + int(delay_s * 1_000_000)
    row: Row = {"log_position": n, "event_type": event_type, "event_id": f"{event_type}{n}", "token_id": f"t{n}"}
    row |= {"decision_id": f"d{n}", "campaign_id": "c1", "creative_id": "cr1", "person_id": n + 1}
    row |= {"event_time_us": time_us, "receive_time_us": time_us, "order_id": "", "click_id": "", "paid_micros": 0}
    return row | changes


def _order(n: int, delay_s: float, **changes: object) -> Row:
    return _event("order", n, delay_s, **({"token_id": "", "decision_id": "", "campaign_id": ""} | changes))


def _labels(rows: list[LabelledRow]) -> Mapping[str, tuple[bool, bool]]:
    return {row.decision_id: (row.clicked, row.ordered) for row in rows}


def _read(write_lake: WriteLake, decisions: list[Row], events: list[Row]) -> Mapping[str, tuple[bool, bool]]:
    write_lake("decisions", decisions)
    lake = write_lake("events", events)
    return _labels(list(read_labelled_rows(lake, CUT_OFF_US)))


def test_only_shown_winners_before_the_cut_off_are_rows(write_lake: WriteLake) -> None:
    decisions = [_decision(0), _decision(1), _decision(2, winner_creative_id=None), _decision(3)]
    decisions.append(_decision(4, request_time_us=CUT_OFF_US))
    events = [_event("impression", n, 1) for n in (0, 2, 4)]
    events.append(_event("impression", 3, 0, event_time_us=CUT_OFF_US))
    assert _read(write_lake, decisions, events) == {"d0": (False, False)}


def test_click_counts_inside_its_window_and_before_the_cut_off(write_lake: WriteLake) -> None:
    decisions = [_decision(n) for n in range(4)]
    events = [_event("impression", n, 1) for n in range(4)]
    events += [_event("click", 0, 1), _event("click", 1, 1 + 90 * DAY_S), _event("click", 2, 0)]
    events.append(_event("click", 3, 0, event_time_us=CUT_OFF_US))
    labels = _read(write_lake, decisions, events)
    assert {name for name, (clicked, _) in labels.items() if clicked} == {"d0"}


def test_order_counts_by_click_id_or_by_person_and_advertiser(write_lake: WriteLake) -> None:
    decisions = [_decision(n) for n in range(6)]
    events = [_event("impression", n, 1) for n in range(6)] + [_event("click", n, 2) for n in range(5)]
    events += [
        _order(0, 40 * DAY_S, click_id="t0", person_id=0),
        _order(1, 3, campaign_id="c1"),
        _order(2, 2 + 15 * DAY_S, campaign_id="c1"),
        _order(3, 3),
        _order(4, 3, campaign_id="c9"),
        _order(5, 3, campaign_id="c1"),
    ]
    labels = _read(write_lake, decisions, events)
    assert {name for name, (_, ordered) in labels.items() if ordered} == {"d0", "d1"}


def test_files_written_twice_count_once(write_lake: WriteLake) -> None:
    write_lake("decisions", [_decision(0)])
    write_lake("decisions", [_decision(0)])
    lake = write_lake("events", [_event("impression", 0, 1)] * 2)
    rows = list(read_labelled_rows(lake, CUT_OFF_US))
    assert [row.decision_id for row in rows] == ["d0"]
    assert rows[0].candidate.tags == ("category:tea",)
    assert rows[0].context.keywords == ("k",)
    assert rows[0].person is None


def test_lake_without_decisions_is_not_found(write_lake: WriteLake) -> None:
    lake = write_lake("events", [_event("impression", 0, 1)])
    with pytest.raises(NotFound):
        list(read_labelled_rows(lake, CUT_OFF_US))


def test_without_events_nothing_was_shown(write_lake: WriteLake) -> None:
    lake = write_lake("decisions", [_decision(0)])
    assert list(read_labelled_rows(lake, CUT_OFF_US)) == []
