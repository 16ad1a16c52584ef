"""The ledger's side of the comparison, and what the lake must hold for the other one, on one snapshot."""

from dataclasses import dataclass
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.book_rows_store import PREFIX, book_heads

_BILLING: Final = "billing"
_LAKE: Final = "lake"
_PLANNED: Final = "_planned"
_CHARGED: Final = "charge", "ivt_credit", "reversal", "commission_estimated", "commission_payable", "rounding"
"""Kinds of entries that are about what an advertiser pays for; deposits are not."""


@dataclass(frozen=True, slots=True)
class Positions:
    """The head of the event log, and where each of its consumers is."""

    head: int
    consumers: dict[str, int]


@dataclass(frozen=True, slots=True)
class LedgerSide:
    """
    The ledger as it stands when billing is at a position: nanos by (currency, account), and sums by currency.

    `needed` says how far each of the lake's consumers must be, so that the lake says as much as the ledger.
    """

    positions: Positions
    billed: int
    last_operation: int
    needed: dict[str, int]
    accounts: dict[tuple[str, str], int]
    debits: dict[str, int]
    charged: dict[str, int]
    rejected: dict[str, int]


def read_positions(connection: sa.Connection) -> Positions:
    """Where the consumers of the event log are."""
    return Positions(_log_head(connection), {k: v for k, v in _consumers(connection).items() if PREFIX not in k})


def is_behind(connection: sa.Connection, needed: dict[str, int]) -> dict[str, int]:
    """Of the consumers that the lake needs those that are not as far, with where they are."""
    held = _consumers(connection)
    return {name: held.get(name, 0) for name, position in needed.items() if held.get(name, 0) < position}


def read_ledger(connection: sa.Connection) -> LedgerSide:
    """The ledger's side; one snapshot."""
    positions = read_positions(connection)
    heads = book_heads(connection)
    billed = positions.consumers.get(_BILLING, 0)
    accounts, debits, charged = _sums(connection)
    rejections = schema.rejections
    query = sa.select(rejections.c.reason, sa.func.sum(rejections.c["count"])).group_by(rejections.c.reason)
    return LedgerSide(
        positions=positions,
        billed=billed,
        last_operation=heads[f"{PREFIX}operations"],
        needed=heads | {_LAKE: billed},
        accounts=accounts,
        debits=debits,
        charged=charged,
        rejected={f"rejected_{reason.lower()}": int(count) for reason, count in connection.execute(query)},
    )


def _sums(connection: sa.Connection) -> tuple[dict[tuple[str, str], int], dict[str, int], dict[str, int]]:
    entries, postings = schema.entries, schema.postings
    nanos = postings.c.amount_nanos
    query = (
        sa.select(
            entries.c.currency,
            postings.c.account,
            sa.func.sum(nanos).label("nanos"),
            sa.func.sum(sa.case((nanos > 0, nanos), else_=0)).label("debit"),
            sa.func.sum(sa.case((entries.c.kind.in_(_CHARGED), nanos), else_=0)).label("charged"),
        )
        .select_from(sa.outerjoin(postings, entries, entries.c.entry_id == postings.c.entry_id))
        .group_by(entries.c.currency, postings.c.account)
    )
    accounts: dict[tuple[str, str], int] = {}
    debits: dict[str, int] = {}
    charged: dict[str, int] = {}
    for row in connection.execute(query):
        # A posting without an entry is money of no currency, and shows as such.
        currency, account = row.currency or "", row.account
        debits[currency] = debits.get(currency, 0) + int(row.debit)
        if account.startswith("advertiser:"):
            charged[currency] = charged.get(currency, 0) + int(row.charged)
        key = (currency, _folded_as(account))
        accounts[key] = accounts.get(key, 0) + int(row.nanos)
    return accounts, debits, charged


def _folded_as(account: str) -> str:
    """Prepaid balance and what is owed are one: how a charge is split among them depends on the order of charges."""
    for split in ("advertiser:prepaid:", "advertiser:receivable:"):
        if account.startswith(split):
            return f"advertiser:{account.removeprefix(split)}"
    return account


def _log_head(connection: sa.Connection) -> int:
    heads = schema.heads
    return int(connection.execute(sa.select(heads.c.position).where(heads.c.name == "log")).scalar_one())


def _consumers(connection: sa.Connection) -> dict[str, int]:
    rows = connection.execute(sa.select(schema.consumers))
    return {row.consumer: row.position for row in rows if not row.consumer.endswith(_PLANNED)}
