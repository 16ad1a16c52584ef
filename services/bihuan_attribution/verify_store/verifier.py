"""A proof, put together from its parts."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.chain import GENESIS
from bihuan_attribution.domain.proof import MAX_FAULTS, Fault, Proof, entry_faults, link_faults
from bihuan_attribution.verify_store.budgets import budget_faults
from bihuan_attribution.verify_store.causes import cause_faults
from bihuan_attribution.verify_store.pages import Page, read_page
from bihuan_attribution.verify_store.periods import invoice_faults, period_faults
from bihuan_attribution.verify_store.sums import (
    account_faults,
    correction_faults,
    head_faults,
    journal_faults,
)
from bihuan_shared.sql import Database

PAGE: Final = 1_000
MAX_ENTRIES: Final = 50_000
"""Entries that one call reads, so that it keeps its deadline."""
_WHOLE: Final[tuple[Callable[[sa.Connection], Iterable[Fault]], ...]] = (
    head_faults,
    journal_faults,
    account_faults,
    correction_faults,
    budget_faults,
    period_faults,
    invoice_faults,
)


@dataclass(frozen=True, slots=True)
class SqlVerifier:
    """The proof over one database."""

    database: Database
    max_entries: int = MAX_ENTRIES
    page: int = PAGE

    async def verify(self, after_entry_id: int) -> Proof:
        """
        Check a stretch of the ledger, and at its end everything that the books sum up, on one snapshot.

        It is read in pages, whatever its length.
        """
        return await self.database.read(lambda c: self._verify(c, after_entry_id))

    def _verify(self, connection: sa.Connection, after: int) -> Proof:
        faults: list[Fault] = []
        count, before = 0, _hash_of(connection, after)
        is_end = False
        while count < self.max_entries and len(faults) < MAX_FAULTS and not is_end:
            page = read_page(connection, after, min(self.page, self.max_entries - count))
            faults += islice(_page_faults(connection, after, before, page), MAX_FAULTS - len(faults))
            is_end = page.is_last
            if page.rows:
                after, before = page.rows[-1].entry_id, page.rows[-1].entry_hash
            count += len(page.rows)
        if is_end:
            for check in _WHOLE:
                faults += islice(check(connection), MAX_FAULTS - len(faults))
        return Proof(count, before, tuple(faults), 0 if is_end else after)


def _page_faults(connection: sa.Connection, after: int, before: bytes, page: Page) -> Iterable[Fault]:
    yield from link_faults(after, before, page.rows)
    for entry_id in page.orphans:
        yield Fault("posting", entry_id, "there are postings, and no entry")
    for row in page.rows:
        yield from entry_faults(row)
    yield from cause_faults(connection, page.rows)


def _hash_of(connection: sa.Connection, entry_id: int) -> bytes:
    table = schema.entries
    found = connection.execute(sa.select(table.c.entry_hash).where(table.c.entry_id == entry_id)).scalar()
    return bytes(found) if found is not None else GENESIS
