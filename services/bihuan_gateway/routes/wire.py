"""What the control plane's routes share: who asks, paging, idempotency, and how resources are written."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Annotated, TypeVar

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, JsonValue

from bihuan_gateway.auth import principal_of
from bihuan_gateway.body import StrictRoute
from bihuan_gateway.control.access import Principal
from bihuan_gateway.control.audiences import AudienceDesk
from bihuan_gateway.control.bookings import BookingDesk
from bihuan_gateway.control.effects import Effects
from bihuan_gateway.control.exports import ExportDesk
from bihuan_gateway.control.fields import ID_PATTERN, ResourceId, Spec
from bihuan_gateway.control.findings import FindingDesk
from bihuan_gateway.control.keys import KeyDesk
from bihuan_gateway.control.launching import Launcher
from bihuan_gateway.control.ports import Page
from bihuan_gateway.control.promotion import PromotionDesk
from bihuan_gateway.control.report_desk import ReportDesk
from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.settlement import Settlement
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.tags import TagDesk
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_gateway.control.webhook_desk import WebhookDesk
from bihuan_shared.clock import format_rfc3339
from bihuan_shared.errors import InvalidArgument, NotFound

_ID = re.compile(ID_PATTERN.replace("$", r"\Z"))
_ETAG = re.compile(r'(?:W/)?"(\d{1,9})"')
_S = TypeVar("_S", bound=Spec)


@dataclass(frozen=True, slots=True)
class ControlPlane:
    """Everything that the routes call; `public_url` is where browsers reach the gateway."""

    catalogue: Catalogue
    audiences: AudienceDesk
    keys: KeyDesk
    effects: Effects
    promotion: PromotionDesk
    public_url: str
    findings: FindingDesk
    settlement: Settlement
    bookings: BookingDesk
    reports: ReportDesk
    webhooks: WebhookDesk
    tags: TagDesk
    launcher: Launcher
    exports: ExportDesk


def control_of(request: Request) -> ControlPlane:
    """Return the control plane that the composition root made."""
    plane = request.app.state.control
    assert isinstance(plane, ControlPlane)
    return plane


def _known_form(resource_id: str) -> str:
    if not _ID.match(resource_id):
        raise NotFound("no such resource")
    return resource_id


def _after(
    page_token: Annotated[str, Query(max_length=128, description="`next_page_token` of the answer before")] = "",
) -> str:
    if not page_token:
        return ""
    try:
        after = base64.b64decode(page_token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        after = ""
    if not _ID.match(after):
        raise InvalidArgument.of("/query/page_token", "is no token of ours")
    return after


def _version(
    if_match: Annotated[str | None, Header(max_length=64, description="ETag of the version to change")] = None,
) -> int | None:
    if if_match is None or if_match == "*":
        return None
    match = _ETAG.fullmatch(if_match)
    if match is None:
        raise InvalidArgument.of("/header/if-match", 'is not an ETag of ours, such as "3"')
    return int(match[1])


Control = Annotated[ControlPlane, Depends(control_of)]
Caller = Annotated[Principal, Depends(principal_of)]
Named = Annotated[str, Depends(_known_form)]
After = Annotated[str, Depends(_after)]
Size = Annotated[int, Query(alias="page_size", ge=1, le=1000)]
Tenant = Annotated[ResourceId | None, Query(alias="advertiser_id", description="only this advertiser's")]
Expected = Annotated[int | None, Depends(_version)]
Changes = dict[str, JsonValue]
Key = Annotated[
    str | None,
    Header(
        alias="idempotency-key",
        min_length=1,
        max_length=128,
        pattern=r"^[!-~]+$",
        description="the same key with the same body gives the same answer; with another body 409",
    ),
]


class View(BaseModel):
    """What every resource shows besides its spec."""

    id: str
    version: int
    create_time: str
    update_time: str


def control_router(tag: str) -> APIRouter:
    """Make a router whose bodies are read strictly."""
    return APIRouter(route_class=StrictRoute, tags=[tag])


def spec_of(kind: type[_S], body: Spec) -> _S:
    """Take the spec out of a body that carries more."""
    return kind.model_construct(**{name: getattr(body, name) for name in kind.model_fields})


def document(resource: Resource) -> dict[str, JsonValue]:
    """Write a resource."""
    written: dict[str, JsonValue] = {
        "id": resource.id,
        **resource.spec.model_dump(mode="json"),
        "version": resource.version,
        "create_time": format_rfc3339(resource.create_time_us),
        "update_time": format_rfc3339(resource.update_time_us),
    }
    if resource.kind is Kind.CAMPAIGNS:
        written["terms_version"] = resource.version
        written["terms_acked_version"] = resource.terms_acked_version
        written["terms_acked"] = resource.terms_acked
    return written


def created(resource: Resource) -> JSONResponse:
    """Answer 201 with where the resource is."""
    headers = {"location": f"/v1/{resource.kind}/{resource.id}", "etag": f'"{resource.version}"'}
    return JSONResponse(document(resource), status_code=201, headers=headers)


def shown(resource: Resource) -> JSONResponse:
    """Answer 200 with the resource and its version as ETag."""
    return JSONResponse(document(resource), headers={"etag": f'"{resource.version}"'})


def listed(page: Page, name: str) -> JSONResponse:
    """Answer a page: resources by id under the name of their collection."""
    written = [document(one) for one in page.resources]
    return JSONResponse({name: written, "next_page_token": page_token(page.next_after)})


def page_token(after: str) -> str:
    """Write the id that the next page goes on after as a token; empty stays empty."""
    return base64.urlsafe_b64encode(after.encode()).decode()


def taken_version(changes: Changes, expected: int | None) -> tuple[Changes, int | None]:
    """Take the version that a patch names in its body, if it does (InvalidArgument)."""
    if "version" not in changes:
        return changes, expected
    version = changes["version"]
    if isinstance(version, bool) or not isinstance(version, int):
        raise InvalidArgument.of("/version", "must be an integer")
    return {name: value for name, value in changes.items() if name != "version"}, version
