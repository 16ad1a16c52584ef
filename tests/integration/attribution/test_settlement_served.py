"""Settlement over sockets: by gRPC, through the gateway by HTTP, and by the command line."""

import asyncio
import json
import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import structlog
from pydantic import SecretStr
from typer.testing import CliRunner, Result

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan.attribution.v1 import event_pb2, ledger_pb2, terms_pb2
from bihuan.common.v1 import common_pb2
from bihuan_cli.app import app
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create, sha256_hex
from bihuan_gateway.server import serve as serve_gateway
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import DAY_US, to_timestamp
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, InvalidArgument, NotFound
from bihuan_shared.tokens import TrackingToken
from tests.integration.attribution.conftest import KEY
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


@dataclass
class Whole:
    """Attribution behind a gateway, and a state folder that the command line finds them by."""

    served: "Served"
    state: Path
    url: str
    admin_key: str

    def client(self, key: str = "") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key or self.admin_key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=CALL_S)

    async def bihuan(self, *words: str) -> Result:
        """Run `bihuan ledger …` in a thread of its own, because it brings its own loop."""
        command = ["ledger", *words, "--state", str(self.state)]
        return await asyncio.to_thread(CliRunner().invoke, app, command)


@pytest.fixture
async def whole(served: "Served", redis_url: str, tmp_path: Path) -> AsyncIterator[Whole]:
    folder = StateFolder(tmp_path / "cli")
    folder.root.mkdir()
    secrets = load_or_create(folder.secrets)
    port_file = tmp_path / "gateway-port"
    settings = Settings(
        state_dir=tmp_path / "gateway",
        listen="127.0.0.1:0",
        port_file=port_file,
        redis_url=redis_url,
        token_keys=SecretStr(KEY),
        admin_key_sha256=sha256_hex(secrets.admin_key),
        attribution_target=f"127.0.0.1:{served.server.port}",
        caller_secret=SecretStr("s"),
        terms_wait_s=0.05,
    )
    # The gateway logs in this process, and must not into what the command line prints.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_gateway(settings, stop))
    while not port_file.exists() and not serving.done():
        await asyncio.sleep(0.02)
    url = f"http://127.0.0.1:{port_file.read_text().strip()}"
    RunningStack(url, {}, "system", os.getpid()).write(folder.stack)
    yield Whole(served, folder.root, url, secrets.admin_key)
    stop.set()
    assert await serving is False
    structlog.reset_defaults()


async def _key(admin: httpx.AsyncClient, advertiser_id: str) -> str:
    made = await admin.post("/v1/advertisers", json={"id": advertiser_id, "display_name": "A", "currency": "CNY"})
    assert made.status_code == 201, made.text
    key = await admin.post("/v1/api-keys", json={"role": "advertiser", "advertiser_id": advertiser_id})
    return str(key.json()["secret"])


async def test_tenants_meet_nothing_of_each_other_over_http(whole: Whole) -> None:
    await a_month(whole.served)
    async with whole.client() as admin:
        keys = {name: await _key(admin, name) for name in ("acme", "rival")}
        closed = await admin.post(f"/v1/periods/{MONTH}/close")
        assert closed.status_code == 200, closed.text
        entries: list[dict[str, Any]] = (await admin.get("/v1/ledger/entries")).json()["entries"]
        pay = {"account": PIA, "amount_micros": 1, "currency": "CNY"}
        paid = await admin.post("/v1/payouts", json=pay, headers={"idempotency-key": "p1"})
        assert paid.status_code == 201, paid.text
        beyond = await admin.post("/v1/payouts", json=pay | {"amount_micros": 10**9}, headers={"idempotency-key": "p2"})
        assert (beyond.status_code, beyond.headers["content-type"]) == (409, "application/problem+json")
    for name, key in keys.items():
        async with whole.client(key) as tenant:
            invoices = (await tenant.get("/v1/invoices")).json()["invoices"]
            assert [one["invoice_id"] for one in invoices] == [f"{name}/{MONTH}"]
            for entry in entries:
                answer = await tenant.get(f"/v1/ledger/entries/{entry['entry_id']}/trace")
                assert answer.status_code == (200 if entry["advertiser_id"] == name else 404)
                if answer.status_code == 200:
                    assert answer.json()["gaps"] == []
                    assert not [one for one in answer.json()["events"] if one["token"]]
            refused = await tenant.post("/v1/payouts", json=pay, headers={"idempotency-key": "p3"})
            assert refused.status_code == 403
            assert (await tenant.get("/v1/ledger/verification")).status_code == 403


async def test_the_command_line_closes_pays_proves_and_traces(whole: Whole) -> None:
    await a_month(whole.served)
    closed = await whole.bihuan("close", MONTH)
    assert closed.exit_code == 0, closed.output
    assert f"{MONTH} was closed" in closed.output
    invoices = await whole.bihuan("invoices", "--advertiser", "acme", "--json")
    assert [one["total_nanos"] for one in json.loads(invoices.output)] == [4_510_000_000]
    assert "4.51" in (await whole.bihuan("invoices")).output
    for _ in range(2):
        paid = await whole.bihuan("payout", PIA, "1000000", "CNY", "--id", "p1")
        assert paid.exit_code == 0, paid.output
    beyond = await whole.bihuan("payout", PIA, "1000000", "CNY", "--id", "p2")
    assert (beyond.exit_code, "payable" in beyond.output) == (1, True)
    proved = await whole.bihuan("verify")
    assert (proved.exit_code, "no fault" in proved.output) == (0, True)
    proof = json.loads((await whole.bihuan("verify", "--json")).output)
    for entry_id in range(1, proof["entry_count"] + 1):
        traced = await whole.bihuan("trace", str(entry_id), "--json")
        assert (traced.exit_code, json.loads(traced.output)["gaps"]) == (0, [])
    tree = (await whole.bihuan("trace", "3")).output
    assert "token verified" in tree
    assert "decision d-" in tree


async def test_the_command_line_names_a_row_that_was_edited(whole: Whole, tmp_path: Path) -> None:
    await a_month(whole.served)
    path = tmp_path / "attribution" / "attribution.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE postings SET amount_nanos = amount_nanos * 2 WHERE entry_id = 2")
    connection.close()
    proved = await whole.bihuan("verify")
    assert proved.exit_code == 1
    assert "hash_chain" in proved.output
    faults = json.loads((await whole.bihuan("verify", "--json")).output)["faults"]
    assert {"hash_chain", "price", "account_balance"} <= {one["invariant"] for one in faults}
    assert {one["entry_id"] for one in faults if one["invariant"] == "hash_chain"} == {2}
