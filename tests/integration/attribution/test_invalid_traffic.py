"""Invalid traffic over a socket: replayed tokens, whose signals are believed, findings across restarts."""

import asyncio
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pytest

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, ledger_pb2, terms_pb2
from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceStub
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, SystemClock, to_timestamp
from bihuan_shared.errors import AlreadyExists, InvalidArgument
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.tokens import TrackingToken

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

CALL_S = 30.0
PRICE = 500_000
IMPRESSION, CLICK = common_pb2.EVENT_TYPE_IMPRESSION, common_pb2.EVENT_TYPE_CLICK


def terms() -> pb.PutTermsRequest:
    """A campaign that can pay for one click."""
    message = terms_pb2.CampaignTerms(
        campaign_id="c1", advertiser_id="acme", version=1, currency="CNY", time_zone="Asia/Shanghai"
    )
    message.effective_time.CopyFrom(to_timestamp(SystemClock().now_us() - DAY_US))
    message.pricing.model = terms_pb2.PRICING_MODEL_CPC
    message.budget.total_micros = PRICE
    return pb.PutTermsRequest(terms=[message])


def token(served: "Served", token_id: str) -> str:
    now_us = SystemClock().now_us()
    facts = TrackingToken(
        token_id, f"d-{token_id}", "cr", "pl", "c1", "acme", "ag", 1, "cpc", PRICE, "CNY", 7,
        now_us, now_us + DAY_US, 0, f"r-{token_id}",
    )  # fmt: skip
    return served.keys.seal(facts, token_id.encode().rjust(12, b"0"))


def seen(sealed: str, kind: "common_pb2.EventType.ValueType", **signals: bool) -> event_pb2.Event:
    event = event_pb2.Event(event_type=kind, token=sealed)
    if signals:
        event.signals.CopyFrom(event_pb2.TrafficSignals(**signals))
    return event


async def settled(served: "Served") -> pb.ReconcileResponse:
    """The reconciliation once billing and the budgets have caught up."""
    deadline = time.monotonic() + CALL_S
    while time.monotonic() < deadline:
        found = await served.stub.Reconcile(pb.ReconcileRequest(), timeout=CALL_S)
        if {"billing", "budgets"} <= {one.consumer for one in found.consumers if one.position == found.head_position}:
            return found
        await asyncio.sleep(0.02)
    raise AssertionError("the consumers have not caught up")


async def begin(served: "Served") -> None:
    await served.stub.PutTerms(terms(), timeout=CALL_S)
    deposit = pb.DepositRequest(advertiser_id="acme", deposit_id="d1")
    deposit.amount.currency, deposit.amount.micros = "CNY", 100_000_000
    await served.stub.Deposit(deposit, timeout=CALL_S)


async def test_one_token_replayed_ten_thousand_times_at_once_gives_one_entry(served: "Served") -> None:
    await begin(served)
    sealed = token(served, "t1")
    await served.stub.RecordEvents(pb.RecordEventsRequest(events=[seen(sealed, IMPRESSION)]), timeout=CALL_S)
    replays = pb.RecordEventsRequest(events=[seen(sealed, CLICK)] * 100)
    answers = await asyncio.gather(*(served.stub.RecordEvents(replays, timeout=CALL_S) for _ in range(100)))
    outcomes = Counter(one.outcome for answer in answers for one in answer.results)
    assert outcomes == {event_pb2.EVENT_OUTCOME_ACCEPTED: 1, event_pb2.EVENT_OUTCOME_DUPLICATE: 9_999}
    (currency,) = (await settled(served)).currencies
    assert (currency.difference_nanos, currency.ledger_charged_nanos) == (0, PRICE * 1_000)
    listed = await served.stub.ListLedgerEntries(pb.ListLedgerEntriesRequest(campaign_id="c1"), timeout=CALL_S)
    assert [(one.kind, one.cause_id) for one in listed.entries] == [("charge", "click/t1")]


async def test_signals_are_believed_of_gateways_and_dropped_of_partners(served: "Served") -> None:
    await begin(served)
    sealed = [token(served, name) for name in ("t1", "t2")]
    robot = pb.RecordEventsRequest(events=[seen(sealed[0], kind, known_bot=True) for kind in (IMPRESSION, CLICK)])
    await served.stub.RecordEvents(robot, timeout=CALL_S)
    channel = open_channel(f"127.0.0.1:{served.server.port}", secret="partner", service="attribution")
    try:
        partner = AttributionServiceStub(channel)
        told = pb.RecordEventsRequest(events=[seen(sealed[1], kind, known_bot=True) for kind in (IMPRESSION, CLICK)])
        await partner.RecordEvents(told, timeout=CALL_S)
    finally:
        await channel.close()
    found = await settled(served)
    assert {one.reason: one.count for one in found.unbilled if one.reason.startswith("ivt_")} == {"ivt_known_bot": 2}
    listed = await served.stub.ListLedgerEntries(pb.ListLedgerEntriesRequest(campaign_id="c1"), timeout=CALL_S)
    assert [one.cause_id for one in listed.entries] == ["click/t2"]


async def outcome(served: "Served", reservation_id: str) -> int:
    """Whether the price of a click can be set aside."""
    item = pb.ReserveItem(reservation_id=reservation_id)
    item.candidates.add(campaign_id="c1", advertiser_id="acme", creative_id="cr", amount_nanos=PRICE * 1_000)
    answer = await served.stub.ReserveBudget(pb.ReserveBudgetRequest(items=[item], validate_only=True), timeout=CALL_S)
    return answer.results[0].outcomes[0]


async def test_a_finding_is_credited_once_across_restarts_and_makes_room(
    serve: Callable[[], Awaitable["Served"]],
) -> None:
    served = await serve()
    await begin(served)
    sealed = token(served, "t1")
    events = [seen(sealed, IMPRESSION), seen(sealed, CLICK)]
    await served.stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)
    await settled(served)
    assert await outcome(served, "r1") == pb.RESERVE_OUTCOME_BUDGET_EXHAUSTED
    clicked = ledger_pb2.InvalidEvent(event_type=CLICK, event_id="t1")
    finding = ledger_pb2.ReportInvalidTrafficRequest(finding_id="f1", reason="click_farm", events=[clicked])
    first = await served.stub.ReportInvalidTraffic(finding, timeout=CALL_S)
    assert (first.credited_count, dict(first.credited_nanos)) == (1, {"CNY": PRICE * 1_000})
    assert await outcome(served, "r2") == pb.RESERVE_OUTCOME_RESERVED
    await served.server.stop(0)
    again = await serve()
    assert await again.stub.ReportInvalidTraffic(finding, timeout=CALL_S) == first
    finding.reason = "other"
    with pytest.raises(AlreadyExists):
        await again.stub.ReportInvalidTraffic(finding, timeout=CALL_S)
    (currency,) = (await settled(again)).currencies
    assert (currency.difference_nanos, currency.ledger_charged_nanos) == (0, 0)
    listed = await again.stub.ListLedgerEntries(pb.ListLedgerEntriesRequest(campaign_id="c1"), timeout=CALL_S)
    assert [(one.kind, one.corrects_entry_id) for one in listed.entries] == [("charge", 0), ("ivt_credit", 2)]


@pytest.mark.parametrize(
    ("kind", "reason", "finding_id", "field"),
    [
        (common_pb2.EVENT_TYPE_ORDER, "farm", "f1", "events[0].event_type"),
        (common_pb2.EVENT_TYPE_LANDING, "farm", "f1", "events[0].event_type"),
        (CLICK, "Farm!", "f1", "reason"),
        (CLICK, "farm", "", "finding_id"),
    ],
)
async def test_a_finding_that_cannot_be_names_the_field(
    served: "Served", kind: "common_pb2.EventType.ValueType", reason: str, finding_id: str, field: str
) -> None:
    request = ledger_pb2.ReportInvalidTrafficRequest(finding_id=finding_id, reason=reason)
    request.events.add(event_type=kind, event_id="t1")
    with pytest.raises(InvalidArgument) as refused:
        await served.stub.ReportInvalidTraffic(request, timeout=CALL_S)
    assert [one.field for one in refused.value.violations] == [field]
