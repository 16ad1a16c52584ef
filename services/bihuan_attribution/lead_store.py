"""Leads in SQL: as rows, in pages, acknowledged."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.domain.lead import Lead, LeadKey, LeadRoute, LeadScore, Reason
from bihuan_attribution.event_log_store import chunks
from bihuan_attribution.use_cases.leads import LeadQuery
from bihuan_shared.sql import Database, upsert


@dataclass(frozen=True, slots=True)
class SqlLeads:
    """The leads of one database."""

    database: Database

    async def page(self, query: LeadQuery) -> list[Lead]:
        """Up to `limit` leads by id."""
        table = schema.leads
        found = sa.select(table).where(table.c.lead_id > query.after).order_by(table.c.lead_id).limit(query.limit)
        if query.route is not None:
            found = found.where(table.c.route == int(query.route))
        if query.advertiser_id:
            found = found.where(table.c.advertiser_id == query.advertiser_id)
        if query.due_only:
            found = found.where(table.c.acked_revision < table.c.revision)
        rows = await self.database.read(lambda c: c.execute(found).all())
        return [_lead(row) for row in rows]

    async def acknowledge(self, delivered: Sequence[tuple[str, int]]) -> None:
        """Note what was delivered, each a lead id and a revision; what is not known or not newer changes nothing."""
        table = schema.leads
        revision = sa.bindparam("r", type_=sa.BigInteger)
        newer = (table.c.acked_revision < revision) & (table.c.revision >= revision)
        note = table.update().where(table.c.lead_id == sa.bindparam("l"), newer).values(acked_revision=revision)
        rows = [{"l": lead_id, "r": number} for lead_id, number in delivered]
        if rows:
            await self.database.write(lambda c: c.execute(note, rows))


def read_leads(connection: sa.Connection, person_ids: Iterable[int], token_ids: Iterable[str]) -> dict[LeadKey, Lead]:
    """The leads of some persons, and those of some click tokens without a person."""
    table = schema.leads
    conditions = [table.c.person_id.in_(chunk) & (table.c.person_id > 0) for chunk in chunks(person_ids)]
    conditions += [table.c.token_id.in_(chunk) & (table.c.person_id == 0) for chunk in chunks(token_ids)]
    rows = (row for condition in conditions for row in connection.execute(sa.select(table).where(condition)))
    return {lead.key: lead for lead in map(_lead, rows)}


def write_leads(connection: sa.Connection, dialect: str, leads: Iterable[Lead], gone: Iterable[str]) -> None:
    """Delete leads by their ids, then write others as they now stand; what was acknowledged of them stays."""
    table = schema.leads
    for chunk in chunks(gone):
        connection.execute(table.delete().where(table.c.lead_id.in_(chunk)))
    rows = [_row(lead) for lead in leads]
    if rows:
        changing = [name for name in rows[0] if name != "lead_id"]
        connection.execute(upsert(dialect, table, key=["lead_id"], update=changing), rows)


def _lead(row: "sa.Row[tuple[object, ...]]") -> Lead:
    score = LeadScore(
        points=row.points,
        threshold=row.threshold,
        route=LeadRoute(row.route),
        reasons=tuple(Reason(*one) for one in json.loads(row.reasons)),
        references=tuple(json.loads(row.contacts)),
        campaign_id=row.campaign_id,
        creative_id=row.creative_id,
        first_time_us=row.first_time_us,
        last_time_us=row.last_time_us,
    )
    return Lead(row.lead_id, row.revision, LeadKey(row.advertiser_id, row.person_id, row.token_id), score)


def _row(lead: Lead) -> dict[str, object]:
    score = lead.score
    return asdict(lead.key) | {
        "lead_id": lead.lead_id,
        "revision": lead.revision,
        "points": score.points,
        "threshold": score.threshold,
        "route": int(score.route),
        "reasons": json.dumps([[one.action, one.count, one.points] for one in score.reasons]),
        "contacts": json.dumps(score.references),
        "campaign_id": score.campaign_id,
        "creative_id": score.creative_id,
        "first_time_us": score.first_time_us,
        "last_time_us": score.last_time_us,
    }
