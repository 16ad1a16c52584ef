"""What stands beside the entries is compared with them; so a chain that was computed anew is found, too."""

# ruff: noqa: S608  # statements are made of this file's own names

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution.use_cases.ports import TermsBatch
from tests.contract.attribution.settled import Books, mixed_history
from tests.contract.attribution.test_proof import rehash

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

REHASHED = {
    "time": ("UPDATE entries SET entry_time_us = entry_time_us + 1000000 WHERE entry_id = 5", ("cause", 5)),
    "cause": ("UPDATE entries SET cause_id = 'click/never' WHERE entry_id = 5", ("cause", 5)),
    "position": ("UPDATE entries SET position = position + 1 WHERE entry_id = 5", ("cause", 5)),
    "no position": ("UPDATE entries SET position = 0 WHERE entry_id = 5", ("cause", 5)),
    "advertiser": ("UPDATE entries SET advertiser_id = 'rival' WHERE entry_id = 5", ("cause", 5)),
    "price": ("UPDATE postings SET amount_nanos = amount_nanos * 2 WHERE entry_id = 5", ("price", 5)),
    "period": ("UPDATE entries SET period = '2023-12' WHERE entry_id = 5", ("period", 5)),
    "no time": ("UPDATE entries SET entry_time_us = 999999999999999999 WHERE entry_id = 5", ("period", 5)),
    "booking": ("UPDATE entries SET cause_type = 'booking' WHERE entry_id = 5", ("cause", 5)),
    "deposit": ("UPDATE postings SET amount_nanos = amount_nanos * 2 WHERE entry_id = 1", ("cause", 1)),
}
BESIDE = {
    "balance": ("UPDATE accounts SET balance_nanos = balance_nanos - 1 WHERE account LIKE 'pub%'", "account_balance"),
    "an account more": (
        "INSERT INTO accounts (account, currency, balance_nanos) VALUES ('platform:mine', 'CNY', 5)",
        "account_balance",
    ),
    "an account less": ("DELETE FROM accounts WHERE account = 'platform:cash'", "account_balance"),
    "a prepaid balance that may be overdrawn": (
        "UPDATE accounts SET limit_nanos = 5 WHERE account = 'advertiser:prepaid:acme'",
        "account_limit",
    ),
    "a second currency": (
        "INSERT INTO accounts (account, currency, balance_nanos) VALUES ('advertiser:prepaid:acme', 'EUR', 0)",
        "account_currency",
    ),
    "total budget": ("UPDATE budgets SET charged_nanos = charged_nanos - 1 WHERE day = ''", "budget"),
    "daily budget": ("UPDATE budgets SET charged_nanos = charged_nanos - 1 WHERE day <> ''", "budget"),
    "a budget more": ("INSERT INTO budgets VALUES ('x', '', 5, 5, 0)", "budget"),
    "no budgets": ("DELETE FROM budgets WHERE campaign_id = 'cpc-1'", "budget"),
    "the deposit's operation": ("DELETE FROM operations WHERE operation_id = 'dep-1'", "cause"),
    "the payout's operation": ("DELETE FROM operations WHERE operation_id = 'pay-1'", "cause"),
    "the deposit's amount": ("UPDATE operations SET body = '{}' WHERE operation_id = 'dep-1'", "cause"),
    "the invoice's rounding": ("UPDATE operations SET body = '!' WHERE kind = 'invoice'", "cause"),
    "an operation's number": ("UPDATE operations SET seq = 99 WHERE operation_id = 'pay-1'", "journal"),
    "a finding": ("DELETE FROM operations WHERE operation_id = 'find-1'", "cause"),
    "a finding's content": ("UPDATE operations SET body = '{}' WHERE operation_id = 'find-1'", "cause"),
    "a booked day": ("DELETE FROM booking_days", "cause"),
    "a booked day's state": ("UPDATE booking_days SET state = 5", "cause"),
    "a booked day's time": ("UPDATE booking_days SET start_time_us = start_time_us + 1", "cause"),
    "a booked day's rate": ("UPDATE booking_days SET day_rate_micros = day_rate_micros + 1", "price"),
    "a day that nobody charged": ("UPDATE booking_days SET date = '2023-11-22' WHERE date = '2023-11-20'", "cause"),
    "an event of the log": ("DELETE FROM events WHERE event_id = 'm0'", "cause"),
    "an invoice": ("UPDATE invoices SET total_nanos = total_nanos - 10000000 WHERE advertiser_id = 'acme'", "invoice"),
    "a prepaid part": ("UPDATE invoices SET prepaid_nanos = prepaid_nanos - 1 WHERE advertiser_id = 'acme'", "invoice"),
    "an invoice less": ("DELETE FROM invoices WHERE advertiser_id = 'rival'", "invoice"),
    "a line": ("UPDATE invoice_lines SET amount_nanos = 0 WHERE campaign_id = 'cpm-1'", "invoice"),
    "a line's rounding": ("UPDATE invoice_lines SET rounded_nanos = 1 WHERE campaign_id = 'cpm-1'", "invoice"),
    "a line's count": ("UPDATE invoice_lines SET entry_count = 0 WHERE campaign_id = 'cpm-1'", "invoice"),
    "a line less": ("DELETE FROM invoice_lines WHERE campaign_id = 'cpm-1'", "invoice"),
    "a line more": ("INSERT INTO invoice_lines VALUES ('acme', '2023-11', 'x', 'cpm', 0, 1, 0, 1)", "invoice"),
    "a line of an open period": (
        "INSERT INTO invoice_lines VALUES ('acme', '2024-11', 'x', 'cpm', 0, 1, 0, 1)",
        "invoice",
    ),
    "an opened period": ("DELETE FROM periods", "invoice"),
    "a period's end": ("UPDATE periods SET last_entry_id = last_entry_id - 1", "period_head"),
    "a period that was passed over": ("UPDATE periods SET period = '2024-03'", "period"),
}


@pytest.fixture
async def books(world: "World") -> Books:
    return await mixed_history(world)


async def test_a_chain_that_was_computed_anew_contradicts_what_else_is_known(books: Books) -> None:
    closed = await books.scalar("SELECT last_entry_id FROM periods")
    for name, (statement, fault) in REHASHED.items():
        faults = await books.tampered(statement, rehash)
        assert "hash_chain" not in {what for what, _ in faults}, name
        assert {fault, ("period_head", closed)} <= set(faults), name


async def test_what_stands_beside_the_entries_is_compared_with_them(books: Books) -> None:
    for name, (statement, invariant) in BESIDE.items():
        found = {what for what, _ in await books.tampered(statement)}
        assert invariant in found, name
        assert "hash_chain" not in found, name


def _without_constraint(table: str, constraint: str, change: str) -> Callable[[sa.Connection], None]:
    def attempt(connection: sa.Connection) -> None:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA ignore_check_constraints=ON")
        else:
            connection.exec_driver_sql(f"ALTER TABLE {table} DROP CONSTRAINT {constraint}")
        assert connection.execute(sa.text(f"UPDATE {table} SET {change}")).rowcount > 0
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA ignore_check_constraints=OFF")

    return attempt


async def test_an_exceeded_budget_and_an_overdrawn_account_are_found_where_their_constraints_were_dropped(
    books: Books,
) -> None:
    exceeded = _without_constraint("budgets", "ck_budgets_charged", "budget_nanos = charged_nanos - 1 WHERE day = ''")
    assert {what for what, _ in await books.tampered(exceeded)} == {"budget"}
    overdrawn = _without_constraint("accounts", "ck_accounts_limit", "limit_nanos = balance_nanos - 1")
    assert {what for what, _ in await books.tampered(overdrawn)} == {"account_limit"}


async def test_more_taken_back_than_was_booked_is_found_though_all_hashes_fit(books: Books) -> None:
    reversal = await books.scalar("SELECT MIN(entry_id) FROM entries WHERE kind = 'reversal'")
    corrected = await books.scalar(f"SELECT corrects_entry_id FROM entries WHERE entry_id = {reversal}")
    more = f"UPDATE postings SET amount_nanos = amount_nanos * 10 WHERE entry_id = {reversal}"
    assert ("correction", corrected) in await books.tampered(more, rehash)
    for wrong in (0, 999, reversal):
        moved = f"UPDATE entries SET corrects_entry_id = {wrong} WHERE entry_id = {reversal}"
        assert ("correction", reversal) in await books.tampered(moved, rehash), wrong


async def test_a_proof_names_a_hundred_faults_and_stops(books: Books) -> None:
    ghosts = [f"INSERT INTO operations VALUES ({100 + n}, 'deposit', 'ghost-{n}', 0, '')" for n in range(200)]
    assert len(await books.tampered(*ghosts)) == 100


async def test_days_of_a_campaign_that_moved_to_another_zone_are_compared_in_sum(books: Books) -> None:
    moved = replace(await books.terms("cpm-1"), version=2, time_zone="America/New_York")
    await books.world.terms.put(TermsBatch([moved]))
    assert (await books.proof()).faults == ()
    less = "UPDATE budgets SET charged_nanos = charged_nanos - 1 WHERE campaign_id = 'cpm-1' AND day <> ''"
    assert await books.tampered(less) == [("budget", 0)]
