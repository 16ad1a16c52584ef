"""Every RPC of attribution over a socket, well-formed and malformed."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import pyarrow.dataset as ds
import pytest

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, HOUR_US, MINUTE_US, SystemClock, to_timestamp
from bihuan_shared.errors import AlreadyExists, BihuanError, InvalidArgument, NotFound, NotYet
from bihuan_shared.redis import open_redis
from bihuan_shared.tokens import TrackingToken

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

CALL_S = 10.0
IMPRESSION, CLICK = common_pb2.EVENT_TYPE_IMPRESSION, common_pb2.EVENT_TYPE_CLICK


def terms(campaign_id: str = "c1", model: int = terms_pb2.PRICING_MODEL_CPC) -> terms_pb2.CampaignTerms:
    message = terms_pb2.CampaignTerms(
        campaign_id=campaign_id, advertiser_id="acme", version=1, currency="CNY", time_zone="Asia/Shanghai"
    )
    message.effective_time.CopyFrom(to_timestamp(SystemClock().now_us() - DAY_US))
    message.pricing.model = model  # type: ignore[assignment]  # the numbers are those of the wire
    message.pricing.commission_rate_ppm = 100_000
    message.frequency_caps.add(
        level=terms_pb2.CAP_LEVEL_CAMPAIGN, window=terms_pb2.CAP_WINDOW_LIFETIME, max_impressions=1
    )
    return message


def token(served: "Served", token_id: str, model: str = "cpc", campaign_id: str = "c1", person: int = 7) -> str:
    now_us = SystemClock().now_us()
    facts = TrackingToken(
        token_id, f"d-{token_id}", "cr", "pl", campaign_id, "acme", "ag", 1, model, 500_000, "CNY", person,
        now_us, now_us + DAY_US, 0, f"r-{token_id}",
    )  # fmt: skip
    return served.keys.seal(facts, token_id.encode().rjust(12, b"0"))


def order(event_id: str, click_id: str) -> event_pb2.Event:
    event = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_ORDER, event_id=event_id)
    event.order.order_id, event.order.advertiser_id, event.order.currency = "o1", "acme", "CNY"
    event.order.order_time.CopyFrom(to_timestamp(SystemClock().now_us() + MINUTE_US))
    event.order.status = event_pb2.ORDER_STATUS_PAID
    event.order.click_id = click_id
    event.order.items.add(item_id="i1", quantity=2, paid_micros=30_000_000, tags=["category:tea"])
    return event


async def settled(served: "Served", *consumers: str) -> pb.ReconcileResponse:
    """The reconciliation once every consumer has caught up."""
    deadline = time.monotonic() + CALL_S
    while time.monotonic() < deadline:
        found = await served.stub.Reconcile(pb.ReconcileRequest(positions_only=True), timeout=CALL_S)
        names = {one.consumer for one in found.consumers if one.position == found.head_position}
        if {"billing", "budgets", "fanout", "lake", *consumers} <= names:
            return await served.stub.Reconcile(pb.ReconcileRequest(), timeout=CALL_S)
        await asyncio.sleep(0.02)
    raise AssertionError("the consumers have not caught up")


def reserve(reservation_id: str) -> pb.ReserveBudgetRequest:
    item = pb.ReserveItem(reservation_id=reservation_id)
    item.person.person_id = 7
    item.candidates.add(campaign_id="c1", advertiser_id="acme", creative_id="cr", amount_nanos=1)
    return pb.ReserveBudgetRequest(items=[item])


async def record_everything(served: "Served") -> pb.RecordEventsResponse:
    """Two campaigns with an impression and a click each, an order by the second one, and a forged token."""
    stub = served.stub
    cps = terms("c2", terms_pb2.PRICING_MODEL_CPS)
    await stub.PutTerms(pb.PutTermsRequest(terms=[terms(), cps]), timeout=CALL_S)
    deposit = pb.DepositRequest(advertiser_id="acme", deposit_id="d1")
    deposit.amount.currency, deposit.amount.micros = "CNY", 100_000_000
    assert (await stub.Deposit(deposit, timeout=CALL_S)).entry.kind == "deposit"
    reserved = await stub.ReserveBudget(reserve("r-t1"), timeout=CALL_S)
    assert reserved.results[0].candidate_index == 0
    events = [
        event_pb2.Event(event_type=kind, token=token(served, name, model, campaign), tags=["category:tea"])
        for name, model, campaign in (("t1", "cpc", "c1"), ("t2", "cps", "c2"))
        for kind in (IMPRESSION, CLICK)
    ]
    events += [order("e1", "t2"), event_pb2.Event(event_type=CLICK, token="x")]
    return await stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)


async def test_what_is_recorded_is_charged_and_counted(served: "Served") -> None:
    recorded = await record_everything(served)
    accepted = [event_pb2.EVENT_OUTCOME_ACCEPTED] * 5
    assert [one.outcome for one in recorded.results] == [*accepted, event_pb2.EVENT_OUTCOME_REJECTED]
    assert (recorded.results[5].reason, recorded.results[5].field) == ("TOKEN_INVALID", "events[5].token")
    found = await settled(served)
    (currency,) = found.currencies
    assert (currency.difference_nanos, currency.ledger_charged_nanos) == (0, 500_000_000 + 3_000_000_000)
    reserved = await served.stub.ReserveBudget(reserve("r-t9"), timeout=CALL_S)
    assert list(reserved.results[0].outcomes) == [pb.RESERVE_OUTCOME_CAPPED]


async def test_reports_explanations_and_the_ledger_tell_the_same(served: "Served") -> None:
    await record_everything(served)
    await settled(served)
    stub = served.stub
    report = await stub.QueryReport(
        pb.QueryReportRequest(dimensions=[pb.REPORT_DIMENSION_CAMPAIGN], page_size=1), timeout=CALL_S
    )
    assert (list(report.rows[0].dimension_values), report.rows[0].clicks, report.rows[0].spend_nanos) == (
        ["c1"], 1, 500_000_000,
    )  # fmt: skip
    following = pb.QueryReportRequest(dimensions=[pb.REPORT_DIMENSION_CAMPAIGN], page_token=report.next_page_token)
    (row,) = (await stub.QueryReport(following, timeout=CALL_S)).rows
    assert (row.orders, row.order_value_micros, row.spend_nanos) == (1, 30_000_000, 3_000_000_000)
    explained = await stub.GetAttribution(pb.GetAttributionRequest(advertiser_id="acme", order_id="o1"), timeout=CALL_S)
    assert (explained.billed_campaign_id, explained.commission_nanos) == ("c2", 3_000_000_000)
    assert sum(one.credit_ppm for one in explained.touches) == 1_000_000
    page = await stub.ListLedgerEntries(pb.ListLedgerEntriesRequest(page_size=2), timeout=CALL_S)
    assert [one.cause_id for one in page.entries] == ["d1", "click/t1"]
    rest = pb.ListLedgerEntriesRequest(page_token=page.next_page_token)
    assert [one.kind for one in (await stub.ListLedgerEntries(rest, timeout=CALL_S)).entries] == [
        "commission_estimated"
    ]
    balance = await stub.GetBalance(pb.GetBalanceRequest(advertiser_id="acme"), timeout=CALL_S)
    assert {one.account: one.balance_nanos for one in balance.balances} == {
        "advertiser:prepaid:acme": 99_500_000_000,
        "advertiser:estimated:acme": 3_000_000_000,
    }


async def test_events_go_on_to_the_lake_and_the_streams(served: "Served", redis_url: str) -> None:
    await record_everything(served)
    await settled(served)
    table = ds.dataset(served.lake / "events", format="parquet").to_table().sort_by("log_position").to_pydict()
    assert table["event_type"] == ["impression", "click", "impression", "click", "order"]
    assert table["paid_micros"] == [0, 0, 0, 0, 30_000_000]
    redis = await open_redis(redis_url)
    streamed = [await redis.xlen(f"st:{{events:{shard}}}") for shard in range(4)]
    await redis.aclose()
    assert sum(streamed) == 5


async def test_a_restart_changes_no_total(serve: "Callable[[], Awaitable[Served]]") -> None:
    first = await serve()
    await first.stub.PutTerms(pb.PutTermsRequest(terms=[terms()]), timeout=CALL_S)
    events = [
        event_pb2.Event(event_type=kind, token=token(first, f"t{n}")) for n in range(50) for kind in (IMPRESSION, CLICK)
    ]
    request = pb.RecordEventsRequest(events=events)
    await first.stub.RecordEvents(request, timeout=CALL_S)
    await first.server.stop(0)
    second = await serve()
    answered = await second.stub.RecordEvents(request, timeout=CALL_S)
    assert {one.outcome for one in answered.results} == {event_pb2.EVENT_OUTCOME_DUPLICATE}
    (currency,) = (await settled(second)).currencies
    assert (currency.ledger_charged_nanos, currency.difference_nanos) == (50 * 500_000_000, 0)


def _deposit(micros: int, currency: str = "CNY") -> pb.DepositRequest:
    return pb.DepositRequest(
        advertiser_id="acme", deposit_id="d1", amount=common_pb2.Money(currency=currency, micros=micros)
    )


def _terms(**changes: object) -> pb.PutTermsRequest:
    message = terms()
    for name, value in changes.items():
        setattr(message, name, value)
    return pb.PutTermsRequest(terms=[message])


def _long_window() -> pb.PutTermsRequest:
    message = terms()
    message.windows.click_window.seconds = 91 * 86_400
    return pb.PutTermsRequest(terms=[message])


def _comparison(days: int, *models: int) -> pb.CompareModelsRequest:
    interval = common_pb2.Interval(start_time=to_timestamp(0), end_time=to_timestamp(days * DAY_US))
    return pb.CompareModelsRequest(advertiser_id="acme", interval=interval, models=models)  # type: ignore[arg-type]


MALFORMED = [
    ("PutTerms", pb.PutTermsRequest(), "terms"),
    ("PutTerms", _terms(time_zone="Mars/Base"), "terms[0].time_zone"),
    ("PutTerms", _terms(currency="yuan"), "terms[0].currency"),
    ("PutTerms", _long_window(), "terms[0].windows.click_window"),
    ("RecordEvents", pb.RecordEventsRequest(), "events"),
    ("RecordEvents", pb.RecordEventsRequest(events=[event_pb2.Event()]), "events[0].event_type"),
    ("ReserveBudget", pb.ReserveBudgetRequest(items=[pb.ReserveItem()]), "items[0].reservation_id"),
    ("GetAttribution", pb.GetAttributionRequest(advertiser_id="a"), "order_id"),
    ("QueryReport", pb.QueryReportRequest(page_token="?"), "page_token"),
    ("QueryReport", pb.QueryReportRequest(dimensions=[pb.REPORT_DIMENSION_DAY, pb.REPORT_DIMENSION_DAY]), "dimensions"),
    (
        "QueryReport",
        pb.QueryReportRequest(
            interval=common_pb2.Interval(start_time=to_timestamp(1_000_000), end_time=to_timestamp(0))
        ),
        "interval.start_time",
    ),
    ("QueryReport", pb.QueryReportRequest(as_of_time=to_timestamp(1_000_000)), "as_of_time"),
    ("QueryReport", pb.QueryReportRequest(as_of_time=to_timestamp(0), with_reach=True), "as_of_time"),
    (
        "QueryReport",
        pb.QueryReportRequest(dimensions=[pb.REPORT_DIMENSION_DAY, pb.REPORT_DIMENSION_PRICING_MODEL], with_reach=True),
        "dimensions[1]",
    ),
    (
        "QueryReport",
        pb.QueryReportRequest(
            interval=common_pb2.Interval(start_time=to_timestamp(0), end_time=to_timestamp(HOUR_US)), with_reach=True
        ),
        "interval.end_time",
    ),
    ("CompareModels", pb.CompareModelsRequest(advertiser_id="acme"), "interval"),
    ("CompareModels", _comparison(93), "interval"),
    ("CompareModels", _comparison(1, 1, 1), "models[1]"),
    ("ListLedgerEntries", pb.ListLedgerEntriesRequest(page_token="WyIxIiwiMiJd"), "page_token"),
    ("ListLedgerEntries", pb.ListLedgerEntriesRequest(page_size=-1), "page_size"),
    ("GetBalance", pb.GetBalanceRequest(), "advertiser_id"),
    ("GetBalance", pb.GetBalanceRequest(advertiser_id="acme", account="promoter:payable:ann"), "account"),
    ("GetBalance", pb.GetBalanceRequest(account="platform:revenue"), "account"),
    ("Deposit", _deposit(0), "amount.micros"),
    ("Deposit", _deposit(10**16), "amount.micros"),
    ("Deposit", _deposit(1, "yuan"), "amount.currency"),
    ("DeletePerson", pb.DeletePersonRequest(request_id="x"), "person"),
]


@pytest.mark.parametrize(("method", "request_", "field"), MALFORMED)
async def test_malformed_input_is_refused_by_field(served: "Served", method: str, request_: object, field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await getattr(served.stub, method)(request_, timeout=CALL_S)
    assert refused.value.violations[0].field == field


async def test_other_refusals_are_typed(served: "Served") -> None:
    with pytest.raises(NotFound):
        await served.stub.GetAttribution(pb.GetAttributionRequest(advertiser_id="acme", order_id="o1"), timeout=CALL_S)
    with pytest.raises(NotYet):
        await served.stub.DeletePerson(
            pb.DeletePersonRequest(person=common_pb2.PersonRef(person_id=1), request_id="x"), timeout=CALL_S
        )
    await served.stub.Deposit(_deposit(1), timeout=CALL_S)
    with pytest.raises(AlreadyExists):
        await served.stub.Deposit(_deposit(2), timeout=CALL_S)
    with pytest.raises(BihuanError) as conflict:
        await served.stub.PutTerms(_terms(currency="EUR"), timeout=CALL_S)
    assert conflict.value.reason == "FAILED_PRECONDITION"


async def test_reports_are_verified_compared_and_told_as_of_an_hour(served: "Served") -> None:
    await record_everything(served)
    await settled(served)
    stub = served.stub
    verified = await stub.VerifyReports(pb.VerifyReportsRequest(), timeout=CALL_S)
    assert (verified.position, list(verified.differences)) == (5, [])
    assert verified.row_count > 0
    now_us = SystemClock().now_us()
    interval = common_pb2.Interval(start_time=to_timestamp(now_us - DAY_US), end_time=to_timestamp(now_us + DAY_US))
    request = pb.CompareModelsRequest(advertiser_id="acme", interval=interval)
    compared = await stub.CompareModels(request, timeout=CALL_S)
    assert (compared.order_count, compared.unattributed_count) == (1, 0)
    assert {(one.model, one.credited_value_micros) for one in compared.rows} == {
        (model, 30_000_000) for model in range(1, 9)
    }
    stranger = pb.CompareModelsRequest(advertiser_id="rival", interval=interval)
    assert (await stub.CompareModels(stranger, timeout=CALL_S)).order_count == 0
    hour_us = now_us - now_us % HOUR_US
    before = pb.QueryReportRequest(as_of_time=to_timestamp(hour_us - HOUR_US))
    assert not (await stub.QueryReport(before, timeout=CALL_S)).rows
    explained = await stub.GetAttribution(pb.GetAttributionRequest(advertiser_id="acme", order_id="o1"), timeout=CALL_S)
    assert (explained.commission_state, len(explained.history)) == ("estimated", 1)
    assert [len(one.credits) for one in explained.touches] == [8, 8]


async def test_reach_follows_billing(served: "Served") -> None:
    await served.stub.PutTerms(pb.PutTermsRequest(terms=[terms()]), timeout=CALL_S)
    tokens = [token(served, f"t{person}", person=person) for person in range(1, 61)]
    events = [event_pb2.Event(event_type=IMPRESSION, token=one) for one in tokens]
    await served.stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)
    await settled(served, "reach")
    asked = pb.QueryReportRequest(with_reach=True, dimensions=[pb.REPORT_DIMENSION_CAMPAIGN])
    (row,) = (await served.stub.QueryReport(asked, timeout=CALL_S)).rows
    assert (row.reach, row.person_impressions) == (60, 60)
