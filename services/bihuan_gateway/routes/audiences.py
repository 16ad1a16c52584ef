"""Audiences."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field

from bihuan_gateway.control.audience_presets import Preset, with_preset
from bihuan_gateway.control.fields import ResourceId, Spec, Tag
from bihuan_gateway.control.look_alikes import EvidenceView
from bihuan_gateway.control.packages import LEAST_COMPARED, MAX_COMPARED, OverlapsView, VersionView
from bihuan_gateway.control.ports import AudienceStatus
from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.specs import MAX_MEMBERS, AudienceSpec, Kind, Member
from bihuan_gateway.routes.wire import (
    After,
    Caller,
    Control,
    Key,
    Named,
    Size,
    Tenant,
    View,
    control_router,
    document,
    listed,
    spec_of,
)
from bihuan_shared.errors import InvalidArgument

router = control_router("audiences")


class AudienceCreate(AudienceSpec):
    """
    An audience to create, from members (each one person), an expression, a preset, as a look-alike of another one, from
    other audiences, or from brand behaviour.

    The preset `reactivation` holds those whose relation to `brand` is dormant: who dealt with it, but not in the last
    90 days.
    """

    id: ResourceId | None = None
    members: Annotated[tuple[Member, ...], Field(max_length=MAX_MEMBERS)] = ()
    preset: Preset | None = None
    brand: Tag | None = None


class AudienceListView(View, AudienceSpec):
    """An audience by name."""


class AudienceView(AudienceListView):
    """
    An audience as it stands: `state` is building, ready or failed.

    `size` is about how many persons are in it, with noise that is the same for the same members, to the nearest ten; 0
    and `size_below_floor` where there are too few to be told. A look-alike that is built has `look_alike_evidence`.


    `members_version` counts changes of the members, of which `history` tells the last 20 where one audience is shown;
    `expression` is also that of a combination and of brand behaviour.
    """

    state: str
    size: int
    size_below_floor: bool
    progress: float
    failure: str
    members_version: int
    refresh_time: str | None
    history: tuple[VersionView, ...]
    look_alike_evidence: EvidenceView | None


class ReachAsked(Spec):
    """An expression, and whose private tags and audiences it may name."""

    advertiser_id: ResourceId
    expression: Annotated[str, Field(min_length=1, max_length=4096)]


class ReachView(BaseModel):
    """About how many persons, as `size` of an audience is told."""

    reach: int
    below_floor: bool


class AudiencePage(BaseModel):
    """A page of audiences, by id."""

    audiences: list[AudienceListView]
    next_page_token: str


def _answer(resource: Resource, status: AudienceStatus, code: int) -> JSONResponse:
    standing = status.standing
    written = {
        **document(resource),
        "expression": standing.expression or document(resource)["expression"],
        "state": status.state,
        "size": status.size,
        "size_below_floor": status.below_floor,
        "progress": status.progress,
        "failure": status.failure,
        "look_alike_evidence": status.evidence and status.evidence.model_dump(mode="json"),
        "members_version": standing.version,
        "refresh_time": standing.refresh_time,
        "history": [one.model_dump(mode="json") for one in standing.history],
    }
    return JSONResponse(written, status_code=code, headers={"location": f"/v1/audiences/{resource.id}"})


@router.post("/v1/audiences", status_code=201, response_model=AudienceView)
async def create_audience(body: AudienceCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create an audience; a list is ready at once, everything else is built in the background."""
    spec = with_preset(spec_of(AudienceSpec, body), body.preset, body.brand)
    resource, status = await control.audiences.create(caller, spec, body.members, audience_id=body.id, key=key)
    return _answer(resource, status, 201)


@router.get("/v1/audiences:overlap", response_model=OverlapsView)
async def compare_audiences(
    control: Control,
    caller: Caller,
    ids: Annotated[str, Query(max_length=4_096, description="2 to 50 ids of one advertiser, parted by commas")],
) -> OverlapsView:
    """Tell how much audiences overlap, pair by pair, with the noise that `size` has and not below the privacy floor."""
    names = ids.split(",")
    if not LEAST_COMPARED <= len(names) <= MAX_COMPARED or len(set(names)) < len(names):
        raise InvalidArgument.of("/query/ids", f"are {LEAST_COMPARED} to {MAX_COMPARED} ids, each once")
    return await control.audiences.compare(caller, names)


@router.post("/v1/audiences:estimateReach", response_model=ReachView)
async def estimate_reach(body: ReachAsked, control: Control, caller: Caller) -> JSONResponse:
    """Estimate how many persons an expression reaches, with noise that stays the same for the same answer."""
    found = await control.audiences.reach(caller, body.advertiser_id, body.expression)
    return JSONResponse({"reach": found.reach, "below_floor": found.below_floor})


@router.post("/v1/audiences/{resource_id}:refresh", status_code=202, response_model=AudienceView)
async def refresh_audience(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Build an audience of an expression anew; its members serve on until then. Happens regularly by itself."""
    resource, status = await control.audiences.refresh(caller, resource_id)
    return _answer(resource, status, 202)


@router.get("/v1/audiences/{resource_id}", response_model=AudienceView)
async def get_audience(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one audience and how far it is."""
    resource, status = await control.audiences.get(caller, resource_id)
    return _answer(resource, status, 200)


@router.get("/v1/audiences", response_model=AudiencePage)
async def list_audiences(
    control: Control, caller: Caller, after: After, size: Size = 100, advertiser_id: Tenant = None
) -> JSONResponse:
    """List audiences by id."""
    page = await control.catalogue.list(
        caller, Kind.AUDIENCES, size=size, after=after, advertiser_id=advertiser_id, parent_id=None
    )
    return listed(page, "audiences")
