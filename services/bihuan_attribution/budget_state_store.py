"""Budgets, balances and counted impressions as SQL knows them: what the state in Redis is rebuilt from."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.billing_store import BILLING
from bihuan_attribution.domain.caps import bucket_of, entity_of
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.ledger import UNLIMITED_NANOS
from bihuan_attribution.domain.reserve import BudgetState, Counted, Recount, Reset, Spent
from bihuan_attribution.domain.terms import CampaignTerms, CapLevel, CapWindow
from bihuan_attribution.event_log_store import LOG_HEAD, chunks, consumer_position
from bihuan_attribution.ledger_store import read_purses
from bihuan_shared.sql import Database

_Shown = tuple[int, str, str, str, int, int]
_RECENT_US = 26 * 3_600_000_000
_GARBAGE_S = {CapWindow.MINUTE: 600, CapWindow.HOUR: 4 * 3600, CapWindow.DAY: 50 * 3600}


@dataclass(frozen=True, slots=True)
class SqlBudgetState:
    """The state of one database."""

    database: Database

    async def spent(self, advertiser_id: str, campaign_ids: Iterable[str], days: Iterable[str]) -> BudgetState:
        """What is gone from the budgets of some campaigns, ever and on some days, and the advertiser's balance."""
        wanted, dates = list(campaign_ids), ["", *days]
        return await self.database.read(lambda c: _spent(c, advertiser_id, wanted, dates))

    async def whole(self, advertiser_id: str, terms: Iterable[CampaignTerms], now_us: int) -> BudgetState:
        """Everything of an advertiser: all budgets, and the impressions that its caps count at `now_us`."""
        held = list(terms)
        return await self.database.read(lambda c: _whole(c, advertiser_id, held, now_us))

    async def recounts(self, limit: int) -> list[Recount]:
        """Persons who are to be counted anew."""
        table = schema.recounts
        query = sa.select(table).order_by(table.c.advertiser_id, table.c.person_id).limit(limit)
        rows = await self.database.read(lambda c: c.execute(query).all())
        return [Recount(row.advertiser_id, row.person_id, bool(row.lost)) for row in rows]

    async def recounted(self, recounts: Sequence[Recount]) -> None:
        """Note that persons were counted anew, unless more was lost meanwhile."""
        table = schema.recounts
        keys = (table.c.advertiser_id == sa.bindparam("a")) & (table.c.person_id == sa.bindparam("p"))
        statement = table.delete().where(keys, table.c.lost == sa.bindparam("l"))
        rows = [{"a": one.advertiser_id, "p": one.person_id, "l": int(one.lost)} for one in recounts]
        await self.database.write(lambda c: c.execute(statement, rows))

    async def counted(
        self, terms: Iterable[CampaignTerms], person_ids: Collection[int], now_us: int
    ) -> tuple[list[Reset], list[Counted]]:
        """The spans that the caps of an advertiser have at `now_us`, and what they count of some persons."""
        held = list(terms)
        counted = await self.database.read(lambda c: _counted(c, held, now_us, person_ids))
        spans = {
            (bucket_of(cap.window, now_us, one.time_zone), _GARBAGE_S.get(cap.window, 0))
            for one in held
            for cap in one.caps
        }
        return [Reset(person_id, *span) for person_id in person_ids for span in sorted(spans)], counted


def _whole(connection: sa.Connection, advertiser_id: str, terms: list[CampaignTerms], now_us: int) -> BudgetState:
    state = _spent(connection, advertiser_id, [one.campaign_id for one in terms], None)
    # What is acknowledged and waits to be billed counts too, so nobody takes its slot until then.
    head = connection.execute(sa.select(schema.heads.c.position).where(schema.heads.c.name == LOG_HEAD)).scalar_one()
    counted = _counted(connection, terms, now_us, billed=state.position)
    return BudgetState(advertiser_id, int(head), state.version, state.spent, tuple(counted))


def _spent(connection: sa.Connection, advertiser_id: str, campaigns: list[str], days: list[str] | None) -> BudgetState:
    # Read before the sums: what is committed between the two makes them newer than they claim, never older.
    heads = connection.execute(sa.select(sa.func.sum(schema.heads.c.position)).where(schema.heads.c.name != "log"))
    position = consumer_position(connection, BILLING)
    version = int(heads.scalar() or 0) + position
    table = schema.budgets
    spent: list[Spent] = []
    for chunk in chunks(campaigns):
        query = sa.select(table).where(table.c.campaign_id.in_(chunk))
        if days is not None:
            query = query.where(table.c.day.in_(days))
        for row in connection.execute(query):
            name = row.campaign_id if row.day else f"t:{row.campaign_id}"
            spent.append(Spent(row.day, name, row.charged_nanos + row.accrued_nanos))
    purses = read_purses(connection, {advertiser_id}).values()
    # A credit line that nobody told lets charges pass, and nothing be set aside on it.
    balance = sum(
        purse.prepaid_nanos
        - purse.receivable_nanos
        + (0 if purse.credit_nanos == UNLIMITED_NANOS else purse.credit_nanos)
        for purse in purses
    )
    spent.append(Spent("", "bal", -balance))
    return BudgetState(advertiser_id, position, version, tuple(spent))


def _counted(
    connection: sa.Connection,
    terms: list[CampaignTerms],
    now_us: int,
    person_ids: Collection[int] | None = None,
    billed: int | None = None,
) -> list[Counted]:
    """What caps count of billed impressions; with `billed`, of those above that position of the log as well."""
    caps = {(one.campaign_id, cap.level, cap.window) for one in terms for cap in one.caps}
    if not caps:
        return []
    zones = {one.campaign_id: one.time_zone for one in terms}
    everyone = {(level, window) for _, level, window in caps if level is CapLevel.ADVERTISER}
    wanted = {one: {(lv, w) for c, lv, w in caps if c == one} | everyone for one in zones}
    counts: Counter[tuple[int, str, str, int]] = Counter()
    waiting = [] if billed is None else list(_waiting(connection, list(zones), billed))
    for is_recent in (False, True):
        windows = set(CapWindow) - {CapWindow.LIFETIME} if is_recent else {CapWindow.LIFETIME}
        if not any(window in windows for _, _, window in caps):
            continue
        shown = _shown(connection, list(zones), now_us - _RECENT_US if is_recent else None, person_ids)
        for person_id, campaign_id, ad_group_id, creative_id, at_us, count in chain(shown, waiting):
            for level, window in wanted[campaign_id]:
                bucket = bucket_of(window, at_us or now_us, zones[campaign_id])
                if window in windows and bucket == bucket_of(window, now_us, zones[campaign_id]):
                    entity = entity_of(level, campaign_id, ad_group_id, creative_id)
                    counts[person_id, bucket, entity, _GARBAGE_S.get(window, 0)] += count
    return [Counted(person, bucket, entity, n, garbage) for (person, bucket, entity, garbage), n in counts.items()]


def _shown(
    connection: sa.Connection, campaigns: list[str], since_us: int | None, person_ids: Collection[int] | None
) -> Iterable[_Shown]:
    """(person, campaign, ad group, creative, instant, count): grouped over all time, or one by one since an instant."""
    table = schema.touches
    keys = [table.c.person_id, table.c.campaign_id, table.c.ad_group_id, table.c.creative_id]
    where = (table.c.event_type == int(EventType.IMPRESSION)) & (table.c.person_id > 0)
    if person_ids is not None:
        where &= table.c.person_id.in_(person_ids)
    for chunk in chunks(campaigns):
        of_campaigns = where & table.c.campaign_id.in_(chunk)
        if since_us is None:
            query = sa.select(*keys, sa.literal(0), sa.func.count()).where(of_campaigns).group_by(*keys)
        else:
            recent = of_campaigns & (table.c.bill_time_us >= since_us)
            query = sa.select(*keys, table.c.bill_time_us, sa.literal(1)).where(recent)
        for row in connection.execute(query):
            yield tuple(row)


def _waiting(connection: sa.Connection, campaigns: list[str], billed: int) -> Iterable[_Shown]:
    """Impressions above a position of the log, one by one, as `_shown` tells those that are billed."""
    table = schema.events
    columns = (
        table.c.person_id,
        table.c.campaign_id,
        table.c.ad_group_id,
        table.c.creative_id,
        table.c.receive_time_us,
    )
    where = (table.c.position > billed) & (table.c.event_type == int(EventType.IMPRESSION)) & (table.c.person_id > 0)
    for chunk in chunks(campaigns):
        for row in connection.execute(sa.select(*columns, sa.literal(1)).where(where, table.c.campaign_id.in_(chunk))):
            yield tuple(row)
