"""`POST /v1/events`."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, cast

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from bihuan_gateway.auth import principal_of
from bihuan_gateway.control.access import Principal, require_admin, require_writer
from bihuan_gateway.data.domain.naming import scoped_id
from bihuan_gateway.data.ports import NOBODY, ActionEvent, Behaviour, Consent, Fact, IngestOutcome, Link, RecordResult
from bihuan_gateway.data.routes.consents import refusal_of, told_of
from bihuan_gateway.data.routes.decisions import identifiers_of
from bihuan_gateway.data.routes.reading import BodyReader, json_response
from bihuan_gateway.data.use_cases.actions import RecordActions, ReportedAction, action_pointer
from bihuan_gateway.data.use_cases.consenting import ReadConsent, Told
from bihuan_gateway.data.use_cases.ingest import Ingest, ReportedEvent, ReportedFacts
from bihuan_gateway.data.wire.actions import ActionBody, ActionResultBody
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
from bihuan_shared.clock import Clock
from bihuan_shared.errors import DeadlineExceeded, Unavailable
from bihuan_shared.targeting import namespace_in, namespace_of


@dataclass(frozen=True, slots=True)
class EventRoutes:
    """
    Behaviour of any writer, actions of any advertiser for admins and of its own for an advertiser's key.

    Attributes and links, which change what is known of everyone's persons, are of admins; values of private tags are of
    their advertiser too.
    """

    ingest: Ingest
    record: RecordActions
    read_consent: ReadConsent
    clock: Clock
    _reader: BodyReader[EventsRequest] = field(default_factory=lambda: BodyReader(EventsRequest, strict=False))

    def routes(self) -> list[BaseRoute]:
        """List the routes."""
        return [NamedRoute("/v1/events", self.post, methods=["POST"])]

    async def post(self, request: Request) -> Response:
        """Take in links, then attributes, then events, then actions."""
        principal = principal_of(request)
        require_writer(principal)
        body = await self._reader.read(request)
        if body.links or not _own_attributes(body.attributes, principal):
            require_admin(principal)
        now_us = self.clock.now_us()
        tolds = self._tolds(body)
        actions = [_action(action, tolds[action.consent].consent, now_us) for action in body.actions]
        # Before anything is taken in: what is another tenant's refuses the whole.
        self.record.require_tenant(actions, principal.tenant)
        updates = [_facts(update) for update in body.attributes]
        if body.links:
            # They are taken in first, and must not be where the taxonomy refuses what comes after them.
            await self.ingest.check_facts(updates)
        with asked_by_us():
            links = await self.ingest.links([_link(link) for link in body.links])
        # What the taxonomy refuses is the caller's, and comes with pointers.
        changed = await self.ingest.facts(updates)
        with asked_by_us():
            events = await self.ingest.events(_events(body.events, tolds, principal))
        recorded = await self._actions(actions)
        return json_response(
            EventsResponse(
                events=_event_results(body.events, tolds, events),
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
                actions=_action_results(body.actions, tolds, recorded),
            )
        )

    def _tolds(self, body: EventsRequest) -> dict[ConsentBody, Told]:
        """Read the consents of a batch, one of all equal ones: most share theirs."""
        bodies = {event.consent for event in body.events} | {action.consent for action in body.actions}
        return {consent: told_of(consent, self.read_consent) for consent in bodies}

    async def _actions(self, actions: list[ReportedAction]) -> list[RecordResult]:
        try:
            with asked_by_us():
                return await self.record(actions)
        except DeadlineExceeded:
            # Whether it was committed is not known; repeating is harmless, and 503 asks for it.
            raise Unavailable("attribution did not answer in time; send it again") from None


def _event_results(
    bodies: tuple[EventBody, ...], tolds: Mapping[ConsentBody, Told], results: list[tuple[IngestOutcome, str]]
) -> tuple[EventResultBody, ...]:
    return tuple(
        EventResultBody(
            event_id=event.event_id,
            outcome=outcome.value,
            reason=reason or None,
            consent_refusal=refusal_of(tolds[event.consent]),
        )
        for event, (outcome, reason) in zip(bodies, results, strict=True)
    )


def _action_results(
    bodies: tuple[ActionBody, ...], tolds: Mapping[ConsentBody, Told], results: list[RecordResult]
) -> tuple[ActionResultBody, ...]:
    return tuple(
        ActionResultBody(
            event_id=action.event_id,
            outcome=result.outcome.value,
            reason=result.reason or None,
            pointer=action_pointer(result.field) or None,
            consent_refusal=refusal_of(tolds[action.consent]),
        )
        for action, result in zip(bodies, results, strict=True)
    )


def _own_attributes(updates: Iterable[AttributeUpdateBody], principal: Principal) -> bool:
    """Tell whether there is no value but of private tags of the caller's own."""
    own = namespace_of(principal.tenant) if principal.tenant else None
    return all(namespace_in(item.name) == own for update in updates for item in update.attributes)


def _action(body: ActionBody, consent: Consent, now_us: int) -> ReportedAction:
    event = ActionEvent(
        kind=body.type.upper(),
        # Event ids are unique for ever: an advertiser's must not meet another's.
        event_id=scoped_id(body.advertiser_id, body.event_id),
        advertiser_id=body.advertiser_id,
        name=body.name,
        action_time_us=_instant(body.action_time),
        receive_time_us=now_us,
        click_id=body.click_id,
        reference=body.reference,
        person=NOBODY,
        consent=consent,
    )
    return ReportedAction(identifiers_of(body.identifiers), event)


def _instant(value: Time | None) -> int | None:
    return None if value is None else time_us(value)


def _events(
    bodies: tuple[EventBody, ...], tolds: Mapping[ConsentBody, Told], principal: Principal
) -> list[ReportedEvent]:
    # Event ids are unique for ever: a tenant's must not meet another's.
    events = []
    for body in bodies:
        behaviour = Behaviour(
            event_id=scoped_id(principal.tenant or "", body.event_id),
            person=NOBODY,
            name=body.behaviour.upper(),
            event_time_us=_instant(body.event_time),
            tags=body.tags,
            amount=(body.amount.currency, body.amount.micros) if body.amount is not None else None,
            consent=tolds[body.consent].consent,
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
