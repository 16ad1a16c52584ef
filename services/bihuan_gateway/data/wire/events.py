"""The bodies of `POST /v1/events`."""

from collections.abc import Iterator
from math import isfinite
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bihuan_gateway.data.wire.actions import ActionBody, ActionResultBody, action_breaches
from bihuan_gateway.data.wire.decisions import identifier_breaches
from bihuan_gateway.data.wire.parts import (
    OUT_OF_RANGE,
    Body,
    ConsentBody,
    Id128,
    IdentifierBody,
    Identifiers,
    MoneyBody,
    Namespace,
    Text96,
    Time,
    time_us,
    too_long,
)

BehaviourName = Literal[
    "VIEW", "SEARCH", "CLICK", "FAVOURITE", "CART", "ORDER", "REFUND",
    "FOLLOW", "SHARE", "COMMENT", "POST", "IMPRESSION", "COUPON",
    "view", "search", "click", "favourite", "cart", "order", "refund",
    "follow", "share", "comment", "post", "impression", "coupon",
]  # fmt: skip


class EventBody(Body, frozen=True, kw_only=True):
    """Something that a person did; `event_time` absent means now, `amount` is for orders and refunds."""

    event_id: Id128
    identifiers: Identifiers
    behaviour: BehaviourName
    event_time: Time | None = None
    tags: Annotated[tuple[Text96, ...], Meta(max_length=64)] = ()
    amount: MoneyBody | None = None
    consent: ConsentBody = ConsentBody()


class AttributeBody(Body, frozen=True, kw_only=True):
    """One fact; its type must be the one that the taxonomy gives the name, which of a private tag has a dot."""

    name: Annotated[str, Meta(max_length=128, pattern=r"^[a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?(?![\s\S])")]
    value: bool | float | Annotated[str, Meta(max_length=128, pattern=r"^[^\x00-\x1f\x7f]*(?![\s\S])")]
    update_time: Time | None = None


class AttributeUpdateBody(Body, frozen=True, kw_only=True):
    """Facts about one person."""

    identifiers: Identifiers
    attributes: Annotated[tuple[AttributeBody, ...], Meta(min_length=1, max_length=64)]


class EvidenceBody(Body, frozen=True, kw_only=True):
    """Why identifiers belong together; `confidence` in (0, 1], absent means 1 for what is deterministic."""

    kind: Literal["deterministic", "probabilistic"]
    source: Namespace
    confidence: Annotated[float, Meta(gt=0, le=1)] | None = None
    observe_time: Time | None = None


class LinkBody(Body, frozen=True, kw_only=True):
    """Two or more identifiers of one person; a repeat of `request_id` with the same body changes nothing."""

    identifiers: Annotated[tuple[IdentifierBody, ...], Meta(min_length=2, max_length=32)]
    evidence: EvidenceBody
    request_id: Id128


class EventsRequest(Body, frozen=True, kw_only=True):
    """A batch: links are taken in first, then attributes, events, actions. At least one of the lists has an element."""

    events: Annotated[tuple[EventBody, ...], Meta(max_length=1000)] = ()
    attributes: Annotated[tuple[AttributeUpdateBody, ...], Meta(max_length=1000)] = ()
    links: Annotated[tuple[LinkBody, ...], Meta(max_length=1000)] = ()
    actions: Annotated[tuple[ActionBody, ...], Meta(max_length=1000)] = ()

    def breaches(self) -> Iterator[tuple[str, str]]:
        """Yield pointer and detail of what the types cannot say."""
        if not (self.events or self.attributes or self.links or self.actions):
            yield "/events", "one of events, attributes, links and actions must have an element"
        for place, event in enumerate(self.events):
            yield from _event_breaches(f"/events/{place}", event)
        for place, update in enumerate(self.attributes):
            yield from _update_breaches(f"/attributes/{place}", update)
        for place, link in enumerate(self.links):
            yield from _link_breaches(f"/links/{place}", link)
        for place, action in enumerate(self.actions):
            yield from action_breaches(f"/actions/{place}", action)


def _event_breaches(pointer: str, event: EventBody) -> Iterator[tuple[str, str]]:
    yield from identifier_breaches(f"{pointer}/identifiers", event.identifiers)
    if event.event_time is not None and time_us(event.event_time) is None:
        yield f"{pointer}/event_time", OUT_OF_RANGE
    for place, tag in enumerate(event.tags):
        if too_long(tag, 96):
            yield f"{pointer}/tags/{place}", "takes more than 96 bytes"
        elif not tag.isprintable() or not tag.strip():
            # Profile refuses it too, but only after links and attributes were taken in.
            yield f"{pointer}/tags/{place}", "must be a text without control characters"
    if too_long(event.consent.source, 64):
        yield f"{pointer}/consent/source", "takes more than 64 bytes"


def _update_breaches(pointer: str, update: AttributeUpdateBody) -> Iterator[tuple[str, str]]:
    yield from identifier_breaches(f"{pointer}/identifiers", update.identifiers)
    for place, attribute in enumerate(update.attributes):
        if attribute.update_time is not None and time_us(attribute.update_time) is None:
            yield f"{pointer}/attributes/{place}/update_time", OUT_OF_RANGE
        if isinstance(attribute.value, str) and too_long(attribute.value, 128):
            yield f"{pointer}/attributes/{place}/value", "takes more than 128 bytes"
        elif attribute.value == "" or (isinstance(attribute.value, float) and not isfinite(attribute.value)):
            yield f"{pointer}/attributes/{place}/value", "must be a finite number or a text that is not empty"


def _link_breaches(pointer: str, link: LinkBody) -> Iterator[tuple[str, str]]:
    yield from identifier_breaches(f"{pointer}/identifiers", link.identifiers)
    if link.evidence.observe_time is not None and time_us(link.evidence.observe_time) is None:
        yield f"{pointer}/evidence/observe_time", OUT_OF_RANGE
    if link.evidence.kind == "probabilistic" and link.evidence.confidence is None:
        yield f"{pointer}/evidence/confidence", "is required for probabilistic evidence"


class EventResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one event; `reason` where it was rejected, `consent_refusal` where a consent string was."""

    event_id: str
    outcome: Literal["accepted", "duplicate", "rejected"]
    reason: str | None = None
    consent_refusal: str | UnsetType = UNSET


class LinkResultBody(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one link; `evidence_id` names the evidence, `reason` says why it was rejected."""

    request_id: str
    outcome: Literal["accepted", "conflict", "rejected"]
    evidence_id: str | None = None
    reason: str | None = None


class EventsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One result an event, a link and an action, in the order of the request."""

    events: tuple[EventResultBody, ...]
    links: tuple[LinkResultBody, ...]
    changed_attribute_count: int
    actions: tuple[ActionResultBody, ...] = ()
