"""Whatever is done to entries and postings behind the books' back is found, and named."""

# ruff: noqa: S608  # statements are made of this file's own names

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution.domain.chain import GENESIS
from bihuan_attribution.domain.proof import Fault, row_hash
from bihuan_attribution.verify_store import SqlVerifier
from bihuan_attribution.verify_store.pages import read_page
from tests.contract.attribution.settled import Books, mixed_history

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

COLUMNS = {
    "kind": "'ivt_credit'",
    "cause_type": "'booking'",
    "cause_id": "cause_id || 'x'",
    "campaign_id": "'other'",
    "advertiser_id": "'other'",
    "currency": "'EUR'",
    "entry_time_us": "entry_time_us + 1",
    "decision_id": "'other'",
    "corrects_entry_id": "1",
    "book_time_us": "book_time_us - 1",
    "period": "'2023-12'",
    "adjustment": "1 - adjustment",
    "order_id": "'other'",
    "position": "position + 1",
    "pricing_model": "'cpd'",
}
POSTINGS = {
    "amount": "UPDATE postings SET amount_nanos = amount_nanos * 2 WHERE entry_id = 5",
    "one side": "UPDATE postings SET amount_nanos = amount_nanos + 1 WHERE entry_id = 5 AND amount_nanos > 0",
    "account": "UPDATE postings SET account = 'publisher:payable:me' WHERE entry_id = 5 AND account LIKE 'publisher%'",
    "a posting less": "DELETE FROM postings WHERE entry_id = 5 AND amount_nanos > 0",
    "a posting more": "INSERT INTO postings (entry_id, account, amount_nanos) VALUES (5, 'platform:cash', 0)",
    "no posting": "DELETE FROM postings WHERE entry_id = 5",
}


def rehash(connection: sa.Connection) -> None:
    """Compute all hashes anew, as somebody does who knows how they are made."""
    before = GENESIS
    for row in read_page(connection, 0, 10_000).rows:
        before = row_hash(before, row)
        update = sa.text("UPDATE entries SET entry_hash = :h WHERE entry_id = :i")
        connection.execute(update, {"h": before, "i": row.entry_id})


@pytest.fixture
async def books(world: "World") -> Books:
    return await mixed_history(world)


async def test_books_that_nobody_touched_have_no_fault(books: Books) -> None:
    proof = await books.proof()
    booked = await books.world.ledger.entries("", "", 0, 1_000)
    assert (proof.faults, proof.entry_count, proof.head_hash) == ((), len(booked), booked[-1].entry_hash)
    kinds = {one.entry.kind for one in booked}
    assert kinds == {
        "deposit", "charge", "commission_estimated", "commission_payable", "reversal", "payout", "rounding",
        "ivt_credit",
    }  # fmt: skip
    assert await books.tampered(rehash) == []


async def test_an_empty_ledger_has_no_fault(world: "World") -> None:
    proof = await Books(world).proof()
    assert (proof.faults, proof.entry_count, proof.head_hash) == ((), 0, GENESIS)


async def test_a_ledger_is_read_in_stretches_and_pages_of_any_size(books: Books) -> None:
    whole = await books.proof()
    await books.sql("UPDATE postings SET amount_nanos = amount_nanos + 1 WHERE entry_id = 8")
    for most, page in ((3, 2), (4, 4), (5, 1), (1_000, 3)):
        verifier = SqlVerifier(books.world.database, max_entries=most, page=page)
        after, count, faults = 0, 0, set[Fault]()
        while True:
            proof = await verifier.verify(after)
            assert proof.entry_count <= most
            count, faults, after = count + proof.entry_count, faults | set(proof.faults), proof.next_after_entry_id
            if not after:
                break
        assert (count, proof.head_hash) == (whole.entry_count, whole.head_hash)
        named = {(one.invariant, one.entry_id) for one in faults}
        assert {("hash_chain", 8), ("entry_sum", 8), ("account_balance", 0)} <= named


async def test_every_edited_column_names_its_entry(books: Books) -> None:
    for column, value in COLUMNS.items():
        faults = await books.tampered(f"UPDATE entries SET {column} = {value} WHERE entry_id = 5")
        assert [at for what, at in faults if what == "hash_chain"] == [5], column


async def test_edited_postings_name_their_entry(books: Books) -> None:
    for name, statement in POSTINGS.items():
        faults = await books.tampered(statement)
        assert [at for what, at in faults if what == "hash_chain"] == [5], name


async def test_an_edited_hash_names_its_entry_and_the_one_that_it_is_covered_by(books: Books) -> None:
    copied = "UPDATE entries SET entry_hash = (SELECT entry_hash FROM entries WHERE entry_id = 9) WHERE entry_id = 5"
    assert [at for what, at in await books.tampered(copied) if what == "hash_chain"] == [5, 6]


async def test_a_deleted_entry_in_the_middle_is_a_gap(books: Books) -> None:
    gone = [f"DELETE FROM {table} WHERE entry_id = 5" for table in ("entries", "postings")]
    assert {("gap", 5), ("account_balance", 0), ("budget", 0), ("invoice", 0)} <= {
        (what, at if what == "gap" else 0) for what, at in await books.tampered(*gone)
    }


async def test_postings_without_their_entry_are_named(books: Books) -> None:
    last = await books.scalar("SELECT MAX(entry_id) FROM entries")
    faults = await books.tampered(f"DELETE FROM entries WHERE entry_id IN (5, {last})")
    assert {("gap", 5), ("posting", 5), ("gap", last), ("posting", last)} <= set(faults)


async def test_a_deleted_entry_at_the_end_is_missed_by_its_number_or_its_balance(books: Books) -> None:
    last = await books.scalar("SELECT MAX(entry_id) FROM entries")
    gone = [f"DELETE FROM {table} WHERE entry_id = {last}" for table in ("entries", "postings")]
    assert ("gap", last) in await books.tampered(*gone)
    renumbered = f"UPDATE heads SET position = {last - 1} WHERE name = 'ledger'"
    assert ("account_balance", 0) in await books.tampered(*gone, renumbered)


async def test_an_end_that_was_cut_off_with_all_it_moved_is_missed_by_the_journal_alone(books: Books) -> None:
    """Of a charge in the open period nothing in here could tell; what is consistent in itself is found outside only."""
    world = books.world
    await world.ledger.deposit("acme", "dep-9", "CNY", 1_000, world.clock.now_us())
    last = await books.scalar("SELECT MAX(entry_id) FROM entries")
    moved = f"(SELECT amount_nanos FROM postings p WHERE entry_id = {last} AND p.account = accounts.account)"
    where = f"account IN (SELECT account FROM postings WHERE entry_id = {last})"
    cut = [
        f"UPDATE accounts SET balance_nanos = balance_nanos - {moved} WHERE {where}",
        f"DELETE FROM entries WHERE entry_id = {last}",
        f"DELETE FROM postings WHERE entry_id = {last}",
        f"UPDATE heads SET position = {last - 1} WHERE name = 'ledger'",
    ]
    assert await books.tampered(*cut) == [("cause", 0)]
    assert await books.tampered(*cut, "DELETE FROM operations WHERE operation_id = 'dep-9'") == []


async def test_a_cut_in_a_closed_period_is_found_by_its_head(books: Books) -> None:
    closed = await books.scalar("SELECT last_entry_id FROM periods")
    faults = await books.tampered(
        f"DELETE FROM entries WHERE entry_id >= {closed}",
        f"DELETE FROM postings WHERE entry_id >= {closed}",
        f"UPDATE heads SET position = {closed - 1} WHERE name = 'ledger'",
    )
    assert ("period_head", closed) in faults


async def test_an_inserted_entry_is_found_wherever_it_is_put(books: Books) -> None:
    last = await books.scalar("SELECT MAX(entry_id) FROM entries")
    copied = ", ".join(name for name in (*COLUMNS, "entry_hash") if name != "cause_id")
    for at in (last + 1, 0):
        row = f"INSERT INTO entries (entry_id, cause_id, {copied}) SELECT {at}, 'x', {copied}"
        row += " FROM entries WHERE entry_id = 5"
        sides = f"INSERT INTO postings SELECT {at}, account, amount_nanos FROM postings WHERE entry_id = 5"
        assert ("gap", at) in await books.tampered(row, sides)
        numbered = f"UPDATE heads SET position = {last + 1} WHERE name = 'ledger'"
        if at:
            faults = await books.tampered(row, sides, numbered, rehash)
            assert {("cause", at), ("account_balance", 0)} <= set(faults)
            assert ("gap", at) not in faults
