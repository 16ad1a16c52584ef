"""One thing is wrong in the ledger or in the lake: the comparison says so, on the right account."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.accounts import PlacementTerms
from bihuan_attribution.domain.ledger import CASH, ROUNDING, Entry, Posting
from bihuan_attribution.journal_store import Operation, note_operations
from bihuan_attribution.ledger_store import write_entries
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.reconcile_ports import Reconciliation

if TYPE_CHECKING:
    from pathlib import Path

    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

OTHER_PERSON = 8
Change = Callable[[dict[str, object]], None]


@pytest.fixture
def database_url(tmp_path: "Path") -> str:
    """SQLite only: nothing here depends on the engine but the sums of the ledger, which every other test compares."""
    return f"sqlite:///{tmp_path / 'test.db'}"


@pytest.fixture
async def busy(world: "World", cps: "CampaignTerms") -> "World":
    """A deposit, CPM impressions of a publisher, CPC clicks, and an order that was completed and refunded in part."""
    shared = PlacementTerms("pl", 1, 0, "pub", 300_000, "")
    await world.terms.put(TermsBatch(placements=[shared]))
    await world.ledger.deposit("acme", "d1", "CNY", 3_000_000, 1)
    terms = {one.campaign_id: one for one in (await world.terms.since(0))[1]}
    for name in ("cpm-1", "cpc-1"):
        token = world.token(name, terms[name], price=10_001)
        await world.record(world.beacon("impression", token), world.beacon("click", token))
    token = world.token("cps-1", cps, promoter="pia")
    await world.record(world.beacon("click", token))
    await world.record(
        world.order("e1", click_id="cps-1", person=0, paid=[100_000_007]),
        world.order("e2", update=True, status=event_pb2.ORDER_STATUS_COMPLETED),
        world.refund("e3", 40_000_000),
        world.order("e4", "open", click_id="cps-1", person=0),
    )
    await world.bill()
    await world.reconcile()
    return world


def wrong(found: Reconciliation) -> dict[str, int]:
    return {one.account: one.difference_nanos for one in found.accounts if one.difference_nanos}


ACCOUNTS = {
    "platform:cash": "platform:cash",
    "platform:revenue": "platform:revenue",
    "platform:estimated": "platform:estimated",
    "advertiser:prepaid:acme": "advertiser:acme",
    "advertiser:receivable:acme": "advertiser:acme",
    "advertiser:estimated:acme": "advertiser:estimated:acme",
    "publisher:payable:pub": "publisher:payable:pub",
    "promoter:payable:pia": "promoter:payable:pia",
}


@pytest.mark.parametrize("account", sorted(ACCOUNTS))
async def test_nano_too_much_on_any_account_is_found_there(busy: "World", account: str) -> None:
    table = schema.postings
    one = sa.select(sa.func.min(table.c.entry_id)).where(table.c.account == account).scalar_subquery()
    change = table.update().where(table.c.account == account, table.c.entry_id == one)
    await busy.database.write(lambda c: c.execute(change.values(amount_nanos=table.c.amount_nanos + 1)))
    found = await busy.audit()
    assert wrong(found) == {ACCOUNTS[account]: 1}
    (currency,) = found.currencies
    assert currency.debit_nanos != currency.credit_nanos
    assert currency.difference_nanos > 0


async def test_entry_that_was_lost_is_found_on_all_its_accounts(busy: "World") -> None:
    table = schema.entries
    query = sa.select(table.c.entry_id).where(table.c.cause_id == "click/cpc-1", table.c.kind == "charge")
    entry_id = await busy.database.read(lambda c: c.execute(query).scalar_one())
    postings = schema.postings
    await busy.database.write(lambda c: c.execute(postings.delete().where(postings.c.entry_id == entry_id)))
    found = await busy.audit()
    assert wrong(found) == {
        "advertiser:acme": -10_001_000,
        "platform:revenue": 7_000_700,
        "publisher:payable:pub": 3_000_300,
    }
    (currency,) = found.currencies
    assert currency.ledger_charged_nanos - currency.fold_charged_nanos == -10_001_000


async def test_entry_that_was_put_in_by_hand_is_found(busy: "World") -> None:
    fields = ("by hand", "event", "click/none", "acme", "cpc-1", "CNY", 1, "")
    entry = Entry(*fields, (Posting("promoter:payable:eve", -5), Posting("platform:revenue", 5)))
    await busy.database.write(lambda c: write_entries(c, busy.database.dialect, [entry], book_time_us=1))
    assert wrong(await busy.audit()) == {"promoter:payable:eve": -5, "platform:revenue": 5}


def price(row: dict[str, object]) -> None:
    if row["event_id"] == "cpm-1" and row["event_type"] == "impression":
        row["price_micros"] = 10_002


def robot(row: dict[str, object]) -> None:
    if row["event_id"] == "cpc-1" and row["event_type"] == "click":
        row["known_bot"] = True


def paid(row: dict[str, object]) -> None:
    if row["event_id"] == "e4":
        row["order_status"] = "placed"


def refund(row: dict[str, object]) -> None:
    if row["event_id"] == "e3":
        row["order_id"] = "open"


def promoter(row: dict[str, object]) -> None:
    if row["event_id"] == "cps-1":
        row["promoter_id"] = "eve"


def rate(row: dict[str, object]) -> None:
    row["commission_rate_ppm"] = 100_001 if row["campaign_id"] == "cps-1" else 0


def share(row: dict[str, object]) -> None:
    row["revenue_share_ppm"] = 300_001


def deposit(row: dict[str, object]) -> None:
    row["body"] = json.dumps(json.loads(str(row["body"])) | {"amount_nanos": 3_000_001})


ALTERED = [
    ("events", price, {"advertiser:acme": -1, "publisher:payable:pub": 1}),
    ("events", robot, {"advertiser:acme": 10_001_000, "platform:revenue": -7_000_700,
                       "publisher:payable:pub": -3_000_300}),
    ("events", paid, {"advertiser:estimated:acme": 10_000_000_000, "platform:estimated": -10_000_000_000}),
    ("events", promoter, {"promoter:payable:pia": -1_500_000_175, "promoter:payable:eve": 1_500_000_175}),
    ("terms", rate, {"advertiser:acme": -60_000, "platform:revenue": 45_000, "promoter:payable:pia": 15_000,
                     "advertiser:estimated:acme": -100_000, "platform:estimated": 100_000}),
    ("placements", share, {"publisher:payable:pub": 10, "platform:revenue": -10}),
    ("operations", deposit, {"platform:cash": -1, "advertiser:acme": 1}),
]  # fmt: skip


@pytest.mark.parametrize(("dataset", "change", "expected"), ALTERED, ids=[one[1].__name__ for one in ALTERED])
async def test_row_of_the_lake_that_was_altered_is_found(
    busy: "World", dataset: str, change: Change, expected: dict[str, int]
) -> None:
    await busy.drain()
    alter(busy, dataset, change)
    assert wrong(await busy.audit()) == expected


def alter(world: "World", dataset: str, change: Change) -> None:
    for path in world.lake_folder.glob(f"{dataset}/**/*.parquet"):
        table = pq.ParquetFile(path).read()
        rows = table.to_pylist()
        for row in rows:
            change(row)
        pq.write_table(pa.Table.from_pylist(rows, table.schema), path)


async def test_refund_that_is_another_orders_moves_payable_and_estimate(busy: "World") -> None:
    await busy.drain()
    alter(busy, "events", refund)
    found = wrong(await busy.audit())
    assert (found["advertiser:acme"], found["advertiser:estimated:acme"]) == (-4_000_000_000, 4_000_000_000)


async def test_events_that_the_lake_lost_are_counted(busy: "World") -> None:
    await busy.drain()
    (path,) = sorted(busy.lake_folder.glob("events/**/*.parquet"))[-1:]
    count = pq.ParquetFile(path).metadata.num_rows
    path.unlink()
    found = await busy.audit()
    assert dict(found.unbilled)["missing_in_lake"] == count
    assert any(wrong(found))


async def test_range_that_stands_twice_counts_once(busy: "World") -> None:
    await busy.drain()
    for path in busy.lake_folder.glob("events/**/*.parquet"):
        old = path.parents[1] / f"again-{path.name}"
        old.write_bytes(path.read_bytes())
    await busy.reconcile()


@dataclass(frozen=True)
class Moved:
    """Something of the journal, and the postings that belong to it."""

    kind: str
    body: dict[str, object]
    postings: tuple[Posting, ...]


PAYOUT = Moved(
    "payout", {"account": "promoter:payable:pia", "currency": "CNY", "amount_nanos": 7},
    (Posting("promoter:payable:pia", 7), Posting(CASH, -7)),
)  # fmt: skip
BOOKED = Moved(
    "booking_day", {"advertiser_id": "acme", "currency": "CNY", "amount_nanos": 9},
    (Posting("advertiser:receivable:acme", 9), Posting("platform:revenue", -9)),
)  # fmt: skip
ROUNDED = Moved(
    "invoice", {"advertiser_id": "acme", "currency": "CNY", "amount_nanos": -3},
    (Posting("advertiser:receivable:acme", -3), Posting(ROUNDING, 3)),
)  # fmt: skip


@pytest.mark.parametrize("operation", [PAYOUT, BOOKED, ROUNDED], ids=lambda one: one.kind)
async def test_what_is_no_event_comes_from_the_journal(busy: "World", operation: Moved) -> None:
    await book(busy, operation, noted=False)
    assert len(wrong(await busy.audit())) == 2
    await book(busy, replace(operation, postings=()), noted=True)
    await busy.reconcile()


async def book(world: "World", operation: Moved, *, noted: bool) -> None:
    kind = {"booking_day": "charge", "invoice": "rounding"}.get(operation.kind, operation.kind)
    fields = (kind, operation.kind, f"{operation.kind}-1", "acme", "", "CNY", 1, "")

    def write(connection: sa.Connection) -> None:
        if operation.postings:
            entry = Entry(*fields, operation.postings)
            write_entries(connection, world.database.dialect, [entry], book_time_us=1)
        if noted:
            note_operations(connection, [Operation(operation.kind, "x1", 1, operation.body)])

    await world.database.write(write)


async def test_finding_gives_back_what_was_billed_by_then(busy: "World") -> None:
    told = {"reason": "click_farm", "events": ["click/cpc-1", "impression/cpm-1", "click/never"]}
    body = {"told": told, "position": 4}
    await busy.database.write(lambda c: note_operations(c, [Operation("finding", "f1", 1, body)]))
    found = await busy.audit()
    assert wrong(found)["advertiser:acme"] == 10_001_000 + 10_001
    assert dict(found.unbilled)["ivt_late_click_farm"] == 2
