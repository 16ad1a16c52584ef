"""`POST /v1/events`."""

from dataclasses import dataclass, field
from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bihuan_gateway.auth import principal_of
from bihuan_gateway.control.access import Principal, require_admin, require_writer
from bihuan_gateway.data.domain.naming import scoped_id
from bihuan_gateway.data.ports import NOBODY, Behaviour, Consent, Fact, Link
from bihuan_gateway.data.routes.decisions import identifiers_of
from bihuan_gateway.data.routes.reading import BodyReader, json_response
from bihuan_gateway.data.use_cases.ingest import Ingest, ReportedEvent, ReportedFacts, consent_of
from bihuan_gateway.data.wire.events import (
    AttributeUpdateBody,
    EventBody,
    EventResultBody,
    EventsRequest,
    EventsResponse,
    LinkBody,
    LinkResultBody,
)
from bihuan_gateway.data.wire.parts import ConsentBody, Time, time_us
from bihuan_gateway.hops import asked_by_us
from bihuan_gateway.planes import NamedRoute


@dataclass(frozen=True, slots=True)
class EventRoutes:
    """Behaviour of any writer; attributes and links, which change what is known of everyone's persons, of admins."""

    ingest: Ingest
    _reader: BodyReader[EventsRequest] = field(default_factory=lambda: BodyReader(EventsRequest, strict=False))

    def routes(self) -> list[BaseRoute]:
        """List the routes."""
        return [NamedRoute("/v1/events", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Take in links, then attributes, then events."""
        principal = principal_of(request)
        require_writer(principal)
        body = await self._reader.read(request)
        if body.attributes or body.links:
            require_admin(principal)
        with asked_by_us():
            links = await self.ingest.links([_link(link) for link in body.links])
        # What the taxonomy refuses is the caller's, and comes with pointers.
        changed = await self.ingest.facts([_facts(update) for update in body.attributes])
        with asked_by_us():
            events = await self.ingest.events(_events(body.events, principal))
        return json_response(
            EventsResponse(
                events=tuple(
                    EventResultBody(event_id=event.event_id, outcome=outcome.value, reason=reason or None)
                    for event, (outcome, reason) in zip(body.events, events, strict=True)
                ),
                links=tuple(
                    LinkResultBody(
                        request_id=link.request_id,
                        outcome=cast("Literal['accepted', 'conflict', 'rejected']", result.outcome),
                        evidence_id=result.evidence_id,
                        reason=result.reason,
                    )
                    for link, result in zip(body.links, links, strict=True)
                ),
                changed_attribute_count=changed,
            )
        )


def _instant(value: Time | None) -> int | None:
    return None if value is None else time_us(value)


def _events(bodies: tuple[EventBody, ...], principal: Principal) -> list[ReportedEvent]:
    # One consent object for all equal ones: most events of a batch share theirs.
    consents: dict[ConsentBody, Consent] = {}
    # Event ids are unique for ever: a tenant's must not meet another's.
    events = []
    for body in bodies:
        consent = consents.get(body.consent)
        if consent is None:
            consent = consent_of(body.consent.purposes, body.consent.data_classes, body.consent.source)
            consents[body.consent] = consent
        behaviour = Behaviour(
            event_id=scoped_id(principal.tenant or "", body.event_id),
            person=NOBODY,
            name=body.behaviour.upper(),
            event_time_us=_instant(body.event_time),
            tags=body.tags,
            amount=(body.amount.currency, body.amount.micros) if body.amount is not None else None,
            consent=consent,
        )
        events.append(ReportedEvent(identifiers_of(body.identifiers), behaviour))
    return events


def _facts(body: AttributeUpdateBody) -> ReportedFacts:
    facts = tuple(Fact(item.name, item.value, _instant(item.update_time)) for item in body.attributes)
    return ReportedFacts(identifiers_of(body.identifiers), facts)


def _link(body: LinkBody) -> Link:
    evidence = body.evidence
    return Link(
        request_id=body.request_id,
        identifiers=identifiers_of(body.identifiers),
        kind=evidence.kind,
        source=evidence.source,
        confidence=evidence.confidence or 0.0,
        observe_time_us=_instant(evidence.observe_time),
    )
