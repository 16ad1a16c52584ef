"""One decision: from a request for advertisements to sealed tokens."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from bihuan_gateway.control.snapshot import Creative, Placement, ServingSnapshot, SnapshotSource
from bihuan_gateway.data.domain.auction import PPB
from bihuan_gateway.data.domain.booked import BookedSource, NothingBooked
from bihuan_gateway.data.domain.eligibility import (
    PersonFacts,
    Verdict,
    asks_for_person,
    matched_audience,
    on_offer,
    private_tag_owners,
)
from bihuan_gateway.data.domain.naming import derived_id
from bihuan_gateway.data.domain.pacing import Throttle, as_soon_as_possible, traffic_figure
from bihuan_gateway.data.domain.slots import BUDGET_UNAVAILABLE, Slot
from bihuan_gateway.data.ports import (
    NOBODY,
    Budgets,
    CandidateRecord,
    Consent,
    DecisionRecord,
    DecisionRecords,
    Identifier,
    ProfileView,
    ReserveQuery,
    Resolved,
    ScoreContext,
    ScoreQuery,
)
from bihuan_gateway.data.use_cases.knowledge import MEASUREMENT, TARGETING, Degraded, PersonSource
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FieldViolation, NotFound
from bihuan_shared.rpc.deadline import deadline_scope
from bihuan_shared.tokens import NONCE_BYTES, KeyRing, TrackingToken

T = TypeVar("T")
MAX_VALIDATED = 256
PRIOR_MODEL = "prior"


@dataclass(frozen=True, slots=True)
class Ask:
    """
    A request for decisions. `scope` names the caller; `tenant` keeps the offer to one advertiser, None for all.

    An empty channel or traffic source is taken from the placement.
    """

    scope: str
    tenant: str | None
    request_id: str
    placement_ids: tuple[str, ...]
    identifiers: tuple[Identifier, ...] = ()
    keywords: tuple[str, ...] = ()
    channel: str = ""
    traffic_source: str = ""
    consent: Consent = field(default_factory=Consent)
    explain: bool = False


@dataclass(frozen=True, slots=True)
class DecideLimits:
    """The time of a request, and the probabilities that stand in where scoring does not answer."""

    request_timeout_s: float = 0.5
    prior_pctr: float = 0.01
    prior_pcvr: float = 0.01


@dataclass(frozen=True, slots=True)
class Decision:
    """The slots of a request as they were settled, with one token a slot that has a winner ("" for the others)."""

    slots: tuple[Slot, ...]
    tokens: tuple[str, ...]
    model_version: str
    degraded: tuple[str, ...]

    @property
    def completed(self) -> bool:
        """False where a placement got no budget answer, so that the same request is to be asked again."""
        return all(slot.reason != BUDGET_UNAVAILABLE for slot in self.slots)


@dataclass(frozen=True, slots=True)
class Decide:
    """Decides. Ports and rules that need neither time nor chance; both come in as `clock` and `random_bytes`."""

    snapshots: SnapshotSource
    persons: PersonSource
    budgets: Budgets
    records: DecisionRecords
    keys: KeyRing
    naming_key: bytes
    clock: Clock
    random_bytes: Callable[[int], bytes]
    count_degraded: Callable[[str], None]
    limits: DecideLimits = DecideLimits()
    throttle: Throttle = as_soon_as_possible
    booked: BookedSource = field(default_factory=NothingBooked)

    async def __call__(self, ask: Ask) -> Decision:
        """
        Decide for each placement, in the order of the request.

        Hops that do not answer in time degrade the decision and never fail it. Raises NotFound for a placement that
        does not exist.
        """
        now_us = self.clock.now_us()
        slots = self._slots(ask, self.snapshots.current(), now_us)
        degraded = Degraded(self.count_degraded, [])
        with deadline_scope(self.limits.request_timeout_s):
            person = await self.persons.person(ask.identifiers, ask.consent, degraded)
            person_id = person.person_id
            capped_person_id = person_id if TARGETING in ask.consent.purposes else 0
            groups = [creative.ad_group for slot in slots for creative in slot.offered]
            audiences, owners = any(map(asks_for_person, groups)), private_tag_owners(groups)
            facts, _ = await asyncio.gather(
                self.persons.facts(person_id, ask.consent, degraded, audiences=audiences, tag_owners=owners),
                _together([self._validate(slot, capped_person_id, degraded) for slot in slots]),
            )
            for slot in slots:
                slot.target(facts)
            versions = await _together([self._score(ask, slot, facts.profile, now_us, degraded) for slot in slots])
            await self._settle(slots, capped_person_id, degraded)
        model_version = next((version for version in versions if version), PRIOR_MODEL)
        measured = person if MEASUREMENT in ask.consent.purposes else NOBODY
        decision = Decision(
            slots=tuple(slots),
            tokens=tuple(self._seal(slot, measured, facts, now_us) for slot in slots),
            model_version=model_version,
            degraded=tuple(degraded.hops),
        )
        if decision.completed:
            for slot in slots:
                self.records.add(_record(ask, slot, measured.person_id, facts.profile, now_us, model_version))
        return decision

    def _slots(self, ask: Ask, snapshot: ServingSnapshot, now_us: int) -> list[Slot]:
        slots = []
        for index, placement_id in enumerate(ask.placement_ids):
            placement = snapshot.placements.get(placement_id)
            if placement is None:
                violation = FieldViolation(f"/placements/{index}/placement_id", "no such placement")
                raise NotFound("no such placement", violation)
            decision_id = derived_id(self.naming_key, "decision", ask.scope, ask.request_id, str(index), placement_id)
            booked = self.booked.current().ranks(placement_id, ask.keywords, now_us)
            offered, out = on_offer(snapshot, placement, ask.keywords, now_us=now_us, tenant=ask.tenant, booked=booked)
            reservation_id = derived_id(self.naming_key, "reservation", decision_id)
            slot = Slot(placement, decision_id, reservation_id, offered, out, booked=booked)
            self._throttle(slot)
            slots.append(slot)
        return slots

    def _throttle(self, slot: Slot) -> None:
        if self.throttle is as_soon_as_possible:
            return
        for creative in slot.offered:
            campaign = creative.ad_group.campaign
            if campaign.id not in slot.booked and not self.throttle(
                campaign, traffic_figure(slot.decision_id, campaign.id)
            ):
                slot.verdicts[creative.id] = Verdict.THROTTLED

    async def _validate(self, slot: Slot, person_id: int, degraded: Degraded) -> None:
        """Put out what has no money or no slot left, so that it neither wins nor sets a price."""
        standing = slot.standing()
        for start in range(0, len(standing), MAX_VALIDATED):
            part = standing[start : start + MAX_VALIDATED]
            # The least that any impression may cost: whether the price is covered is seen when it is known.
            candidates = tuple((creative, _least_nanos(creative)) for creative in part)
            query = ReserveQuery(slot.reservation_id, person_id, candidates)
            outcomes = await degraded.attempt("budget", self.budgets.validate(query))
            if outcomes is None:
                slot.budget_known = False
                return
            slot.refuse(part, outcomes)

    async def _score(
        self, ask: Ask, slot: Slot, profile: ProfileView | None, now_us: int, degraded: Degraded
    ) -> str | None:
        """Score what is still in (and, to explain, what is capped or out of money); return the model's version."""
        spent = {Verdict.CAPPED, Verdict.BUDGET_EXHAUSTED, Verdict.BALANCE_EXHAUSTED} if ask.explain else set()
        wanted = tuple(c for c in slot.offered if c.id not in slot.verdicts or slot.verdicts[c.id] in spent)
        if not wanted:
            return None
        query = ScoreQuery(profile, _context(ask, slot.placement, now_us), wanted)
        scores = await degraded.attempt("scoring", self.persons.scorer.score(query))
        if scores is None:
            slot.hear(wanted, ((self.limits.prior_pctr, self.limits.prior_pcvr),) * len(wanted))
            return None
        slot.hear(wanted, scores.pairs)
        return scores.model_version

    async def _settle(self, slots: list[Slot], person_id: int, degraded: Degraded) -> None:
        """Hold the auctions one after another: a campaign that wins one placement is out of the next ones."""
        shown: set[str] = set()
        for slot in slots:
            if not slot.budget_known:
                continue
            ranked = slot.auction(shown)
            if not ranked:
                continue
            candidates = tuple((creative, entry.reserve_nanos) for creative, entry in ranked)
            query = ReserveQuery(slot.reservation_id, person_id, candidates)
            answer = await degraded.attempt("budget", self.budgets.reserve(query))
            if answer is None:
                slot.budget_known = False
                continue
            slot.settle(ranked, answer.index, answer.outcomes)
            slot.reservation_id = answer.reservation_id or slot.reservation_id
            if slot.winner is not None:
                shown.add(slot.winner.ad_group.campaign.id)

    def _seal(self, slot: Slot, person: Resolved, facts: PersonFacts, now_us: int) -> str:
        if slot.winner is None or slot.won is None:
            return ""
        group, campaign = slot.winner.ad_group, slot.winner.ad_group.campaign
        token = TrackingToken(
            token_id=derived_id(self.naming_key, "token", slot.decision_id),
            decision_id=slot.decision_id,
            creative_id=slot.winner.id,
            placement_id=slot.placement.id,
            campaign_id=campaign.id,
            advertiser_id=campaign.advertiser.id,
            ad_group_id=group.id,
            terms_version=campaign.terms_version,
            pricing_model=campaign.pricing_model,
            price_micros=slot.won.price_micros,
            currency=campaign.advertiser.currency,
            person_id=person.person_id,
            issue_time_us=now_us,
            expire_time_us=now_us + campaign.token_ttl_us,
            reserve_nanos=slot.won.reserve_nanos,
            reservation_id=slot.reservation_id,
            sighting_id=person.sighting_id if person.person_id else 0,
            # It tells of the person too, so that it goes where the person goes.
            audience_id=matched_audience(group, facts) if person.person_id else "",
        )
        return self.keys.seal(token, self.random_bytes(NONCE_BYTES))


async def _together(calls: Sequence[Coroutine[None, None, T]]) -> list[T]:
    """Run calls at the same time; most requests are for one placement, and one call needs no task of its own."""
    return [await calls[0]] if len(calls) == 1 else list(await asyncio.gather(*calls))


def _least_nanos(creative: Creative) -> int:
    return 0 if creative.ad_group.campaign.pricing_model in {"cps", "cpd"} else 1


def _context(ask: Ask, placement: Placement, now_us: int) -> ScoreContext:
    return ScoreContext(
        placement_id=placement.id,
        channel=ask.channel or placement.channel,
        traffic_source=ask.traffic_source or placement.traffic_source,
        keywords=ask.keywords,
        request_time_us=now_us,
    )


def _record(
    ask: Ask, slot: Slot, person_id: int, profile: ProfileView | None, now_us: int, model_version: str
) -> DecisionRecord:
    """Form what the lake keeps; nothing of the person without MEASUREMENT."""
    context = _context(ask, slot.placement, now_us)
    return DecisionRecord(
        decision_id=slot.decision_id,
        request_time_us=now_us,
        person_id=person_id,
        profile=profile.record() if profile is not None and person_id else b"",
        placement_id=context.placement_id,
        channel=context.channel,
        traffic_source=context.traffic_source,
        keywords=ask.keywords,
        candidates=tuple(
            CandidateRecord(
                creative_id=creative.id,
                campaign_id=creative.ad_group.campaign.id,
                advertiser_id=creative.ad_group.campaign.advertiser.id,
                tags=creative.tags,
                pctr=slot.scores[creative.id][0] / PPB,
                pcvr=slot.scores[creative.id][1] / PPB,
                ecpm_micros=slot.ecpms[creative.id],
            )
            for creative in slot.offered
            if creative.id in slot.ecpms
        ),
        winner_creative_id=slot.winner.id if slot.winner is not None else None,
        propensity=1.0,
        model_version=model_version,
    )
