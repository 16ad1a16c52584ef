"""
The consumer `leads`: brings leads up to what is billed and to who is who. A batch is written with its position.

A lead is computed anew from the touches and the actions of its prospect as they stand now, so that repetitions, the
sequence of arrival and changes of who is who need no rules of their own.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, field
from typing import Final

import sqlalchemy as sa

from bihuan_attribution import schema
from bihuan_attribution.account_store import read_advertisers
from bihuan_attribution.domain.accounts import AdvertiserTerms, LeadRules
from bihuan_attribution.domain.lead import Lead, LeadKey, LeadScore, RulesAt, revised, score
from bihuan_attribution.domain.versions import VersionBook
from bihuan_attribution.event_log_store import consumer_position, set_position
from bihuan_attribution.lead_steps_store import Prospects, prospects_of, read_findings, read_happened, read_steps
from bihuan_attribution.lead_store import read_leads, write_leads
from bihuan_shared.sql import Database, conditional_upsert, upsert

LEADS: Final = "leads"
MAX_STEPS: Final = 1_000
"""Actions, and touches, of one prospect that are read: the newest ones."""
_BILLING: Final = "billing"
_PERSONS: Final = "persons"
_FINDINGS: Final = "findings"
_ROUND: Final = "round"
_CHANGES: Final = 50
_OPERATIONS: Final = 500


@dataclass(slots=True)
class _Changes:
    """Changes of who is who that leads were not brought up to yet."""

    last_id: int
    person_ids: set[int] = field(default_factory=set)
    heirs: dict[int, int] = field(default_factory=dict)

    def heir(self, person_id: int) -> int:
        """Under which id a person lives on after these changes."""
        seen = {person_id}
        while (following := self.heirs.get(person_id, person_id)) not in seen:
            seen.add(following)
            person_id = following
        return person_id


@dataclass(slots=True)
class _Plan:
    """What is to be written: leads as they now stand, ids of those that are no more, and how far that is."""

    round: int
    upto: int
    change_id: int
    finding_seq: int
    count: int = 0
    leads: list[Lead] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)


class SqlLeadScoring:
    """
    Scoring over one database.

    `new_id` names a new lead; an id says nothing of its person. `checkpoint` is called with the name of each step
    inside the transaction, so that tests can break off there.
    """

    def __init__(
        self,
        database: Database,
        new_id: Callable[[], str],
        *,
        max_steps: int = MAX_STEPS,
        checkpoint: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._database = database
        self._new_id = new_id
        self._max_steps = max_steps
        self._checkpoint = checkpoint

    async def score(self, limit: int) -> int:
        """
        Deal with up to `limit` billed events and with changes of who is who.

        The answer is how many there were. Whatever is raised, nothing has happened.
        """
        # Read apart from the writing: a transaction that both reads what billing writes and writes where consumers are,
        # which billing reads, makes one of the two begin anew whenever they meet.
        plan = await self._database.read(lambda c: self._plan(c, limit))
        if plan.count:
            await self._database.write(lambda c: self._write(c, plan))
        return plan.count

    def _plan(self, connection: sa.Connection, limit: int) -> _Plan:
        position, billed = consumer_position(connection, LEADS), consumer_position(connection, _BILLING)
        scored = _scored_advertisers(connection)
        progress = _read_progress(connection)
        changes = _read_changes(connection, progress.get(_PERSONS, 0))
        # Where nobody keeps leads, nothing has to be read.
        upto = min(billed, position + limit) if scored else billed
        seen = progress.get(_FINDINGS, 0)
        finding, invalid = read_findings(connection, seen, _OPERATIONS)
        plan = _Plan(progress.get(_ROUND, 0), max(position, upto), changes.last_id, finding)
        plan.count = plan.upto - position + (len(changes.person_ids) > 0) + (finding > seen)
        if plan.count and scored:
            happened = read_happened(connection, position, plan.upto, scored)
            happened.token_ids |= invalid
            prospects = prospects_of(connection, happened)
            prospects.person_ids |= changes.person_ids
            self._rescore(connection, prospects, changes, plan)
        return plan

    def _rescore(self, connection: sa.Connection, prospects: Prospects, changes: _Changes, plan: _Plan) -> None:
        steps = read_steps(connection, prospects, self._max_steps)
        held = read_leads(connection, prospects.person_ids, prospects.token_ids)
        terms = read_advertisers(connection, {key.advertiser_id for key in steps})
        scores: dict[LeadKey, LeadScore] = {}
        for key, done in steps.items():
            found = score(done, _rules_at(terms.get(key.advertiser_id, ())))
            if found is not None:
                scores[key] = found
        orphans = {key: lead for key, lead in held.items() if key not in scores}
        fresh = [key for key in scores if key not in held]
        kept = held | _inherited(fresh, orphans, changes)
        leads = [
            revised(kept[key], key, new) if key in kept else Lead(self._new_id(), 1, key, new)
            for key, new in sorted(scores.items(), key=lambda item: astuple(item[0]))
        ]
        plan.leads = [lead for lead in leads if held.get(lead.key) != lead]
        plan.gone = sorted({lead.lead_id for lead in orphans.values()} - {lead.lead_id for lead in leads})

    def _write(self, connection: sa.Connection, plan: _Plan) -> None:
        """Write all of a plan, or nothing where another process was faster."""
        dialect, table = self._database.dialect, schema.lead_progress
        row = {"name": _ROUND, "number": plan.round + 1}
        step = conditional_upsert(dialect, table, key=["name"], update=["number"], where=table.c.number == plan.round)
        if connection.execute(step.values(row)).rowcount == 0:
            return
        write_leads(connection, dialect, plan.leads, plan.gone)
        self._checkpoint("scored")
        set_position(connection, dialect, LEADS, plan.upto)
        others = upsert(dialect, table, key=["name"], update=["number"])
        rows = [{"name": _PERSONS, "number": plan.change_id}, {"name": _FINDINGS, "number": plan.finding_seq}]
        connection.execute(others, rows)
        self._checkpoint("positioned")


def _inherited(fresh: Sequence[LeadKey], orphans: dict[LeadKey, Lead], changes: _Changes) -> dict[LeadKey, Lead]:
    """
    Leads that go on under another person, because theirs was absorbed by one who had none.

    Sales is not told of the same human twice. Of several the one with the smallest person goes on.
    """
    found: dict[LeadKey, Lead] = {}
    wanted = {key for key in fresh if key.person_id}
    for key in sorted(orphans, key=lambda one: (one.advertiser_id, one.person_id), reverse=True):
        heir = LeadKey(key.advertiser_id, changes.heir(key.person_id))
        if key.person_id and heir in wanted:
            found[heir] = orphans[key]
    return found


def _rules_at(versions: Sequence[AdvertiserTerms]) -> RulesAt:
    book: VersionBook[AdvertiserTerms] = VersionBook()
    for one in versions:
        book.put(one.advertiser_id, one)

    def rules(at_us: int) -> LeadRules | None:
        held = book.at(versions[0].advertiser_id, at_us) if versions else None
        return held.leads if held is not None else None

    return rules


def _scored_advertisers(connection: sa.Connection) -> list[str]:
    """Advertisers who keep leads, or did."""
    table = schema.advertiser_terms
    return list(connection.execute(sa.select(table.c.advertiser_id).distinct().where(table.c.leads != "")).scalars())


def _read_progress(connection: sa.Connection) -> dict[str, int]:
    return {row.name: row.number for row in connection.execute(sa.select(schema.lead_progress))}


def _read_changes(connection: sa.Connection, after: int) -> _Changes:
    table = schema.followed_changes
    found = _Changes(after)
    query = sa.select(table.c.change_id, table.c.content).where(table.c.change_id > after)
    for row in connection.execute(query.order_by(table.c.change_id).limit(_CHANGES)).all():
        content = json.loads(row.content)
        parts = [part[0] for part in content["parts"]]
        found.last_id = row.change_id
        found.person_ids.update(content["before"], parts)
        for person_id in parts:
            found.heirs.pop(person_id, None)
        if len(parts) == 1:
            found.heirs |= {one: parts[0] for one in content["before"] if one != parts[0]}
    return found
