"""The bodies of `POST /v1/decisions`."""

from collections.abc import Iterator
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, UnsetType

from bihuan_gateway.data.wire.parts import (
    Body,
    ConsentBody,
    Id64,
    Id128,
    MoneyBody,
    OptionalIdentifiers,
    OptionalText,
    Page,
    Text128,
    too_long,
)


class PlacementBody(Body, frozen=True, kw_only=True):
    """A placement to fill."""

    placement_id: Id64


class ContextBody(Body, frozen=True, kw_only=True):
    """Where the request comes from; what is left empty is taken from the placement."""

    channel: OptionalText = ""
    traffic_source: OptionalText = ""
    device: OptionalText = ""
    page: Page = ""


class DecisionRequest(Body, frozen=True, kw_only=True):
    """What to decide. A repeat of `request_id` with the same body gets the same answer."""

    request_id: Id128
    placements: Annotated[tuple[PlacementBody, ...], Meta(min_length=1, max_length=16)]
    identifiers: OptionalIdentifiers = ()
    keywords: Annotated[tuple[Text128, ...], Meta(max_length=16)] = ()
    context: ContextBody = ContextBody()
    consent: ConsentBody = ConsentBody()
    explain: bool = False

    def breaches(self) -> Iterator[tuple[str, str]]:
        """Yield pointer and detail of what the types cannot say."""
        yield from identifier_breaches("/identifiers", self.identifiers)
        for place, keyword in enumerate(self.keywords):
            if too_long(keyword, 128):
                yield f"/keywords/{place}", "takes more than 128 bytes"
        for name in ("channel", "traffic_source", "device"):
            if too_long(getattr(self.context, name), 64):
                yield f"/context/{name}", "takes more than 64 bytes"
        if too_long(self.consent.source, 64):
            yield "/consent/source", "takes more than 64 bytes"


def identifier_breaches(pointer: str, identifiers: OptionalIdentifiers) -> Iterator[tuple[str, str]]:
    """Yield identifiers whose value is longer than identity accepts."""
    for place, identifier in enumerate(identifiers):
        if too_long(identifier.value, 512):
            yield f"{pointer}/{place}/value", "takes more than 512 bytes"


class CreativeBody(msgspec.Struct, frozen=True, kw_only=True):
    """What to show; `assets` is the creative's JSON document; sizes in pixels, 0 where it fits every placement."""

    creative_id: str
    campaign_id: str
    width: int
    height: int
    assets: msgspec.Raw


class CandidateBody(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and why it won or not; for administrators who ask to explain."""

    creative_id: str
    campaign_id: str
    verdict: str
    pctr: float | None = None
    pcvr: float | None = None
    ecpm_micros: int | None = None
    price_micros: int | None = None


class PlacementDecision(msgspec.Struct, frozen=True, kw_only=True):
    """
    The decision for one placement.

    `price` is what the winner pays: per thousand impressions (cpm) or per click (cpc); 0 for cps, which pays its rate,
    and for cpd, whose day is paid. `creative` and what goes with it are null where nothing is shown, and `reason` says
    why.
    """

    placement_id: str
    decision_id: str
    creative: CreativeBody | None = None
    pricing_model: str | None = None
    price: MoneyBody | None = None
    impression_url: str | None = None
    viewable_url: str | None = None
    click_url: str | None = None
    landing_url: str | None = None
    reason: str | None = None
    candidates: tuple[CandidateBody, ...] | UnsetType = UNSET


class DecisionResponse(msgspec.Struct, frozen=True, kw_only=True):
    """One decision a placement, in the order of the request; `consent_refusal` where a consent string was refused."""

    request_id: str
    placements: tuple[PlacementDecision, ...]
    model_version: str
    degraded: tuple[str, ...]
    consent_refusal: str | UnsetType = UNSET
