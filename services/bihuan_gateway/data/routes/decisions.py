"""`POST /v1/decisions`."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bihuan_gateway.auth import principal_of
from bihuan_gateway.control.access import Principal, Role, require_admin, require_writer
from bihuan_gateway.control.snapshot import Creative
from bihuan_gateway.data import metrics
from bihuan_gateway.data.domain.eligibility import Verdict
from bihuan_gateway.data.domain.slots import Slot
from bihuan_gateway.data.ports import Consent, Identifier
from bihuan_gateway.data.routes.consents import refusal_of, told_of
from bihuan_gateway.data.routes.reading import ENCODER, SORTED_ENCODER, BodyReader
from bihuan_gateway.data.use_cases.consenting import ReadConsent, Told
from bihuan_gateway.data.use_cases.decide import Ask, Decide, Decision
from bihuan_gateway.data.use_cases.repeat import AnswerOnce
from bihuan_gateway.data.wire.decisions import (
    CandidateBody,
    CreativeBody,
    DecisionRequest,
    DecisionResponse,
    PlacementDecision,
)
from bihuan_gateway.data.wire.parts import IdentifierBody, MoneyBody
from bihuan_gateway.planes import NamedRoute

# Answers are stored without the public URL: one that is repeated after the gateway moved has links that work.
_ORIGIN = "bihuan-public-url:"


def identifiers_of(bodies: Sequence[IdentifierBody]) -> tuple[Identifier, ...]:
    """Translate identifiers."""
    return tuple(Identifier(body.namespace, body.value) for body in bodies)


@dataclass(frozen=True, slots=True)
class DecisionRoutes:
    """Decides for admins over all campaigns, and for an advertiser's key over its own."""

    decide: Decide
    answer_once: AnswerOnce
    read_consent: ReadConsent
    public_url: str
    _reader: BodyReader[DecisionRequest] = field(default_factory=lambda: BodyReader(DecisionRequest, strict=True))

    def routes(self) -> list[BaseRoute]:
        """List the routes."""
        return [NamedRoute("/v1/decisions", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Decide, or repeat what was decided under the same request id."""
        principal = principal_of(request)
        require_writer(principal)
        body = await self._reader.read(request)
        if body.explain:
            require_admin(principal)
        scope = _scope(principal)
        digest = sha256(SORTED_ENCODER.encode(content_of(body))).digest()

        async def decide() -> tuple[bytes, bool]:
            told = told_of(body.consent, self.read_consent)
            decision = await self.decide(_ask(body, told.consent, scope, principal.tenant))
            return ENCODER.encode(_response(body, told, decision)), decision.completed

        answer = await self.answer_once(scope, body.request_id, digest, decide)
        linked = answer.replace(f'"{_ORIGIN}'.encode(), f'"{self.public_url}'.encode())
        return Response(linked, media_type="application/json")


def _scope(principal: Principal) -> str:
    """Name whose request ids these are: the tenant's, or those of all admins, whichever of their keys is used."""
    return f"advertiser:{principal.advertiser_id}"[:64] if principal.role is Role.ADVERTISER else principal.role.value


def content_of(body: DecisionRequest) -> DecisionRequest:
    """
    Form what a repeat must equal.

    Without consent strings a list that is left out is an empty one: stored answers have digests of bodies that were
    read so, and are to be found again.
    """
    consent = body.consent
    if consent.has_strings or not (consent.purposes is msgspec.UNSET or consent.data_classes is msgspec.UNSET):
        return body
    named = msgspec.structs.replace(consent, purposes=consent.purposes or (), data_classes=consent.data_classes or ())
    return msgspec.structs.replace(body, consent=named)


def _ask(body: DecisionRequest, consent: Consent, scope: str, tenant: str | None) -> Ask:
    return Ask(
        scope=scope,
        tenant=tenant,
        request_id=body.request_id,
        placement_ids=tuple(placement.placement_id for placement in body.placements),
        identifiers=identifiers_of(body.identifiers),
        keywords=tuple(dict.fromkeys(body.keywords)),
        channel=body.context.channel,
        traffic_source=body.context.traffic_source,
        consent=consent,
        explain=body.explain,
    )


def _response(body: DecisionRequest, told: Told, decision: Decision) -> DecisionResponse:
    placements = []
    for slot, token in zip(decision.slots, decision.tokens, strict=True):
        metrics.DECISIONS.labels(slot.reason or "shown").inc()
        placements.append(_placement(slot, token, explain=body.explain))
    return DecisionResponse(
        request_id=body.request_id,
        placements=tuple(placements),
        model_version=decision.model_version,
        degraded=decision.degraded,
        consent_refusal=refusal_of(told),
    )


def _placement(slot: Slot, token: str, *, explain: bool) -> PlacementDecision:
    candidates = tuple(_candidates(slot)) if explain else msgspec.UNSET
    if slot.winner is None or slot.won is None:
        return PlacementDecision(
            placement_id=slot.placement.id, decision_id=slot.decision_id, reason=slot.reason, candidates=candidates
        )
    campaign = slot.winner.ad_group.campaign
    return PlacementDecision(
        placement_id=slot.placement.id,
        decision_id=slot.decision_id,
        creative=_creative(slot.winner),
        pricing_model=campaign.pricing_model,
        price=MoneyBody(currency=campaign.advertiser.currency, micros=slot.won.price_micros),
        impression_url=f"{_ORIGIN}/t/i/{token}",
        viewable_url=f"{_ORIGIN}/t/v/{token}",
        click_url=f"{_ORIGIN}/t/c/{token}",
        landing_url=f"{_ORIGIN}/t/l/{token}",
        candidates=candidates,
    )


def _creative(creative: Creative) -> CreativeBody:
    return CreativeBody(
        creative_id=creative.id,
        campaign_id=creative.ad_group.campaign.id,
        width=creative.width,
        height=creative.height,
        assets=msgspec.Raw(creative.assets.encode()),
    )


def _candidates(slot: Slot) -> list[CandidateBody]:
    """List what was on offer, best first where it was ranked; what the request itself ruled out has no figures."""
    campaigns = {creative.id: creative.ad_group.campaign.id for creative in slot.offered}
    ids = sorted(campaigns, key=lambda creative_id: (-slot.ecpms.get(creative_id, -1), creative_id))
    bodies = []
    for creative_id in ids:
        pctr, pcvr = slot.probabilities(creative_id) or (None, None)
        bodies.append(
            CandidateBody(
                creative_id=creative_id,
                campaign_id=campaigns[creative_id],
                verdict=slot.verdicts.get(creative_id, Verdict.OUTRANKED).value,
                pctr=pctr,
                pcvr=pcvr,
                ecpm_micros=slot.ecpms.get(creative_id),
                price_micros=slot.prices.get(creative_id),
            )
        )
    return bodies
