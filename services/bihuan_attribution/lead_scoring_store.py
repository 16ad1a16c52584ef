"""
The consumer `leads`: brings leads up to what is billed and to who is who, in one transaction a batch.

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
from bihuan_attribution.lead_steps_store import Prospects, read_steps, touched
from bihuan_attribution.lead_store import read_leads, write_leads
from bihuan_shared.sql import Database, upsert

LEADS: Final = "leads"
MAX_STEPS: Final = 1_000
"""Actions, and touches, of one prospect that are read: the newest ones."""
_BILLING: Final = "billing"
_PERSONS: Final = "persons"
_CHANGES: Final = 50


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
        Deal with up to `limit` billed events and with changes of who is who, in one transaction.

        The answer is how many there were. Whatever is raised, nothing has happened.
        """
        return await self._database.write(lambda c: self._score(c, limit))

    def _score(self, connection: sa.Connection, limit: int) -> int:
        dialect = self._database.dialect
        position, billed = consumer_position(connection, LEADS), consumer_position(connection, _BILLING)
        scored = _scored_advertisers(connection)
        changes = _read_changes(connection)
        # Where nobody keeps leads, nothing has to be read.
        upto = min(billed, position + limit) if scored else billed
        count = upto - position + (len(changes.person_ids) > 0)
        if count <= 0:
            return 0
        prospects = touched(connection, position, upto, scored)
        prospects.person_ids |= changes.person_ids
        if scored:
            self._rescore(connection, prospects, changes)
        self._checkpoint("scored")
        if upto > position:
            set_position(connection, dialect, LEADS, upto)
        if changes.person_ids:
            row = {"name": _PERSONS, "change_id": changes.last_id}
            connection.execute(upsert(dialect, schema.lead_progress, key=["name"], update=["change_id"]), [row])
        self._checkpoint("positioned")
        return count

    def _rescore(self, connection: sa.Connection, prospects: Prospects, changes: _Changes) -> None:
        if not (prospects.person_ids or prospects.token_ids):
            return
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
        changed = [lead for lead in leads if held.get(lead.key) != lead]
        gone = {lead.lead_id for lead in orphans.values()} - {lead.lead_id for lead in leads}
        write_leads(connection, self._database.dialect, changed, sorted(gone))


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


def _read_changes(connection: sa.Connection) -> _Changes:
    progress, table = schema.lead_progress, schema.followed_changes
    at = sa.select(progress.c.change_id).where(progress.c.name == _PERSONS)
    found = _Changes(int(connection.execute(at).scalar() or 0))
    query = sa.select(table.c.change_id, table.c.content).where(table.c.change_id > found.last_id)
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
