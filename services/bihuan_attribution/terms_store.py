"""Terms of campaigns in SQL."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import fields

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import put_advertisers, put_placements
from bihuan_attribution.booking_store import put_bookings
from bihuan_attribution.domain.terms import (
    CampaignTerms,
    CapLevel,
    CapWindow,
    CommissionRate,
    FrequencyCap,
    TermsBook,
    is_new,
)
from bihuan_attribution.event_log_store import TERMS_HEAD, chunks, consumer_position, lock_head, move_head
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.sql import Database

_BILLING = "billing"
_LISTS = ("caps", "commission_rates", "item_ids")
_PLAIN = tuple(one.name for one in fields(CampaignTerms) if one.name not in _LISTS)


def read_terms(connection: sa.Connection, campaign_ids: Iterable[str]) -> TermsBook:
    """All versions of some campaigns' terms."""
    book = TermsBook()
    for chunk in chunks(campaign_ids):
        for row in connection.execute(sa.select(schema.terms).where(schema.terms.c.campaign_id.in_(chunk))):
            book.add(_terms(row))
    return book


class SqlTerms:
    """The terms of one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, batch: TermsBatch) -> int:
        """Take in versions, all or none; the answer is how many were new. Errors as in `domain.terms.is_new`."""
        return await self._database.write(lambda c: _put_all(c, batch))

    async def since(self, seq: int) -> tuple[int, list[CampaignTerms]]:
        """What was taken in after a number, and the last number now."""
        table = schema.terms
        query = sa.select(table).where(table.c.seq > seq).order_by(table.c.seq)
        rows = await self._database.read(lambda c: c.execute(query).all())
        return (rows[-1].seq if rows else seq), [_terms(row) for row in rows]


def _put_all(connection: sa.Connection, batch: TermsBatch) -> int:
    head = lock_head(connection, TERMS_HEAD)
    count = put_advertisers(connection, batch.advertisers, head)
    count += put_placements(connection, batch.placements, head + count)
    count += _put_campaigns(connection, batch.terms, head + count)
    if batch.bookings:
        terms = read_terms(connection, {one.campaign_id for one in batch.bookings})
        count += put_bookings(connection, batch.bookings, terms, batch.take_time_us, head + count)
    if count:
        move_head(connection, TERMS_HEAD, head + count)
        _note_position(connection, head)
    return count


def _note_position(connection: sa.Connection, head: int) -> None:
    """Note with what is new how far billing is: serializable, so each batch knew all of it or nothing."""
    position = consumer_position(connection, _BILLING)
    for table in (schema.terms, schema.advertiser_terms, schema.placement_terms):
        connection.execute(table.update().where(table.c.seq > head).values(billing_position=position))


def _put_campaigns(connection: sa.Connection, terms: Sequence[CampaignTerms], seq: int) -> int:
    book = read_terms(connection, {one.campaign_id for one in terms})
    currencies = _currencies(connection, {one.advertiser_id for one in terms})
    rows: list[dict[str, object]] = []
    for one in terms:
        if is_new(one, book.versions(one.campaign_id)):
            if currencies.setdefault(one.advertiser_id, one.currency) != one.currency:
                raise FailedPrecondition(f"the account of {one.advertiser_id} has another currency")
            book.add(one)
            rows.append(_row(one, seq + len(rows) + 1))
    if rows:
        connection.execute(schema.terms.insert(), rows)
    return len(rows)


def _currencies(connection: sa.Connection, advertisers: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for table in (schema.terms, schema.advertiser_terms, schema.entries):
        for chunk in chunks(advertisers):
            query = sa.select(table.c.advertiser_id, table.c.currency).distinct()
            for row in connection.execute(query.where(table.c.advertiser_id.in_(chunk))):
                found[row.advertiser_id] = row.currency
    return found


def _terms(row: "sa.Row[tuple[object, ...]]") -> CampaignTerms:
    values = row._mapping  # noqa: SLF001  # its public name
    caps = tuple(FrequencyCap(CapLevel(level), CapWindow(window), most) for level, window, most in json.loads(row.caps))
    return CampaignTerms(
        **{name: values[name] for name in _PLAIN},
        caps=caps,
        commission_rates=tuple(CommissionRate(*one) for one in json.loads(row.commission_rates or "[]")),
        item_ids=tuple(json.loads(row.item_ids or "[]")),
    )


def _row(terms: CampaignTerms, seq: int) -> dict[str, object]:
    caps = [[int(cap.level), int(cap.window), cap.max_impressions] for cap in terms.caps]
    rates = [[one.item_id, one.category, one.rate_ppm] for one in terms.commission_rates]
    lists = {"caps": caps, "commission_rates": rates, "item_ids": terms.item_ids}
    plain = {name: getattr(terms, name) for name in _PLAIN}
    return plain | {name: json.dumps(value) for name, value in lists.items()} | {"seq": seq}
