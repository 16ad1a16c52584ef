"""Settlement over a socket."""

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, ledger_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_shared.clock import DAY_US, to_timestamp
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from bihuan_shared.tokens import TrackingToken
from tests.integration.attribution.test_service import CALL_S, settled, terms

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served

PERSON = 987_654_321
IMPRESSION, CLICK = common_pb2.EVENT_TYPE_IMPRESSION, common_pb2.EVENT_TYPE_CLICK
PIA = "promoter:payable:pia"


def last_month() -> datetime:
    """An instant five days before this month began."""
    return datetime.now(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0) - timedelta(days=5)


AT_US = int(last_month().timestamp()) * 1_000_000
MONTH = last_month().strftime("%Y-%m")


def _terms(campaign_id: str, advertiser_id: str, model: int) -> terms_pb2.CampaignTerms:
    message = terms(campaign_id, model)
    message.advertiser_id = advertiser_id
    message.pricing.promoter_share_ppm = 250_000
    message.effective_time.CopyFrom(to_timestamp(AT_US - DAY_US))
    del message.frequency_caps[:]
    return message


def _shown(
    served: "Served", token_id: str, terms_: terms_pb2.CampaignTerms, promoter: str = ""
) -> list[event_pb2.Event]:
    model = terms_pb2.PricingModel.Name(terms_.pricing.model).removeprefix("PRICING_MODEL_").lower()
    facts = TrackingToken(
        token_id, f"d-{token_id}", "cr", "pl", terms_.campaign_id, terms_.advertiser_id, "ag", 1, model, 512_345, "CNY",
        PERSON, AT_US, AT_US + DAY_US, 0, f"r-{token_id}", promoter_id=promoter,
    )  # fmt: skip
    sealed = served.keys.seal(facts, token_id.encode().rjust(12, b"0"))
    return [
        event_pb2.Event(event_type=kind, token=sealed, receive_time=to_timestamp(AT_US)) for kind in (IMPRESSION, CLICK)
    ]


def _order(event_id: str, event_type: int, status: int = 0) -> event_pb2.Event:
    event = event_pb2.Event(event_id=event_id, receive_time=to_timestamp(AT_US + 1_000_000))
    event.event_type = event_type  # type: ignore[assignment]  # the numbers are those of the wire
    event.order.order_id, event.order.advertiser_id, event.order.currency = "o1", "acme", "CNY"
    event.order.order_time.CopyFrom(to_timestamp(AT_US + 1_000_000))
    event.order.status = status  # type: ignore[assignment]  # as above
    if event_type == common_pb2.EVENT_TYPE_ORDER:
        event.order.click_id = "s1"
        event.order.items.add(item_id="i1", quantity=1, paid_micros=40_000_000)
    return event


async def a_month(served: "Served") -> None:
    """Last month: two advertisers that pay for clicks, and an order that came by a promoter."""
    all_terms = [
        _terms("c1", "acme", terms_pb2.PRICING_MODEL_CPC),
        _terms("c2", "rival", terms_pb2.PRICING_MODEL_CPC),
        _terms("c3", "acme", terms_pb2.PRICING_MODEL_CPS),
    ]
    await served.stub.PutTerms(pb.PutTermsRequest(terms=all_terms), timeout=CALL_S)
    deposit = pb.DepositRequest(advertiser_id="acme", deposit_id="d1")
    deposit.amount.currency, deposit.amount.micros = "CNY", 100_000
    await served.stub.Deposit(deposit, timeout=CALL_S)
    events = [
        *_shown(served, "k1", all_terms[0]),
        *_shown(served, "v1", all_terms[1]),
        *_shown(served, "s1", all_terms[2], "pia"),
        _order("e1", common_pb2.EVENT_TYPE_ORDER, event_pb2.ORDER_STATUS_PAID),
        _order("e2", common_pb2.EVENT_TYPE_ORDER_UPDATE, event_pb2.ORDER_STATUS_COMPLETED),
    ]
    answered = await served.stub.RecordEvents(pb.RecordEventsRequest(events=events), timeout=CALL_S)
    assert {one.outcome for one in answered.results} == {event_pb2.EVENT_OUTCOME_ACCEPTED}
    await settled(served)


def _pay(payout_id: str, micros: int, account: str = PIA, currency: str = "CNY") -> ledger_pb2.PayOutRequest:
    amount = common_pb2.Money(currency=currency, micros=micros)
    return ledger_pb2.PayOutRequest(payout_id=payout_id, account=account, amount=amount)


async def test_a_month_is_closed_invoiced_paid_out_proved_and_traced(served: "Served") -> None:
    await a_month(served)
    stub = served.stub
    listed = await stub.ListPeriods(ledger_pb2.ListPeriodsRequest(), timeout=CALL_S)
    assert {one.state for one in listed.periods} == {ledger_pb2.PERIOD_STATE_OPEN}
    request = ledger_pb2.ClosePeriodRequest(period=MONTH)
    closed = await stub.ClosePeriod(request, timeout=CALL_S)
    assert closed.period.state == ledger_pb2.PERIOD_STATE_CLOSED
    assert [(one.invoice_id, one.total_nanos) for one in closed.invoices] == [
        (f"acme/{MONTH}", 510_000_000 + 4_000_000_000),
        (f"rival/{MONTH}", 510_000_000),
    ]
    paid = await stub.PayOut(_pay("p1", 1_000_000), timeout=CALL_S)
    assert paid.entry.kind == "payout"
    assert await stub.PayOut(_pay("p1", 1_000_000), timeout=CALL_S) == paid
    assert await stub.ClosePeriod(request, timeout=CALL_S) == closed
    first = await stub.ListInvoices(ledger_pb2.ListInvoicesRequest(page_size=1), timeout=CALL_S)
    rest = ledger_pb2.ListInvoicesRequest(page_token=first.next_page_token)
    both = [*first.invoices, *(await stub.ListInvoices(rest, timeout=CALL_S)).invoices]
    assert both == list(closed.invoices)
    entries = (await stub.ListLedgerEntries(pb.ListLedgerEntriesRequest(page_size=1_000), timeout=CALL_S)).entries
    proof = await stub.VerifyLedger(ledger_pb2.VerifyLedgerRequest(), timeout=CALL_S)
    assert (list(proof.faults), proof.entry_count, proof.next_after_entry_id) == ([], len(entries), 0)
    assert proof.head_hash == entries[-1].entry_hash
    for entry in entries:
        trace = await stub.TraceEntry(ledger_pb2.TraceEntryRequest(entry_id=entry.entry_id), timeout=CALL_S)
        assert (trace.entry, list(trace.gaps)) == (entry, [])
        assert all(one.token_verified for one in trace.events if one.token)
        assert str(PERSON) not in str(trace)
        if entry.cause_type == "event":
            assert entry.decision_id in {one.decision_id for one in trace.events if one.event_type == IMPRESSION}
    books = await settled(served)
    assert [one.difference_nanos for one in books.currencies] == [0]


async def test_balances_and_entries_are_of_the_time_that_was_asked_for(served: "Served") -> None:
    await a_month(served)
    stub = served.stub
    entries = (await stub.ListLedgerEntries(pb.ListLedgerEntriesRequest(), timeout=CALL_S)).entries
    before = to_timestamp(AT_US)
    assert all(one.book_time.seconds > before.seconds for one in entries)
    request = pb.ListLedgerEntriesRequest(as_of_time=before)
    assert not (await stub.ListLedgerEntries(request, timeout=CALL_S)).entries
    balance = await stub.GetBalance(pb.GetBalanceRequest(advertiser_id="acme", as_of_time=before), timeout=CALL_S)
    assert not balance.balances
    of_order = pb.ListLedgerEntriesRequest(order_id="o1", advertiser_id="acme", page_size=1)
    page = await stub.ListLedgerEntries(of_order, timeout=CALL_S)
    assert [one.kind for one in page.entries] == ["commission_estimated"]
    of_order.page_token = page.next_page_token
    assert [one.kind for one in (await stub.ListLedgerEntries(of_order, timeout=CALL_S)).entries] == [
        "commission_payable"
    ]


MALFORMED = [
    ("PayOut", _pay("", 1), "payout_id"),
    ("PayOut", _pay("p", 0), "amount.micros"),
    ("PayOut", _pay("p", 10**16), "amount.micros"),
    ("PayOut", _pay("p", 1, "platform:cash"), "account"),
    ("PayOut", _pay("p", 1, currency="yuan"), "amount.currency"),
    ("ClosePeriod", ledger_pb2.ClosePeriodRequest(), "period"),
    ("ClosePeriod", ledger_pb2.ClosePeriodRequest(period="2023-13"), "period"),
    ("ListInvoices", ledger_pb2.ListInvoicesRequest(page_token="?"), "page_token"),
    ("ListInvoices", ledger_pb2.ListInvoicesRequest(period="x"), "period"),
    ("VerifyLedger", ledger_pb2.VerifyLedgerRequest(after_entry_id=-1), "after_entry_id"),
    ("TraceEntry", ledger_pb2.TraceEntryRequest(), "entry_id"),
]


async def test_malformed_input_is_refused_by_field(served: "Served") -> None:
    for method, request, field in MALFORMED:
        with pytest.raises(InvalidArgument) as refused:
            await getattr(served.stub, method)(request, timeout=CALL_S)
        assert refused.value.violations[0].field == field, method


async def test_other_refusals_are_typed_and_name_the_field(served: "Served") -> None:
    await a_month(served)
    stub = served.stub
    await stub.PayOut(_pay("p1", 5), timeout=CALL_S)
    with pytest.raises(AlreadyExists):
        await stub.PayOut(_pay("p1", 6), timeout=CALL_S)
    with pytest.raises(FailedPrecondition) as refused:
        await stub.PayOut(_pay("p2", 1_000_000), timeout=CALL_S)
    assert refused.value.violations[0].field == "amount.micros"
    now = datetime.now(UTC).strftime("%Y-%m")
    with pytest.raises(FailedPrecondition) as refused:
        await stub.ClosePeriod(ledger_pb2.ClosePeriodRequest(period=now), timeout=CALL_S)
    assert refused.value.violations[0].field == "period"
    with pytest.raises(NotFound):
        await stub.TraceEntry(ledger_pb2.TraceEntryRequest(entry_id=999), timeout=CALL_S)
