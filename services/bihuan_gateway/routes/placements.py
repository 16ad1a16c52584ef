"""Placements."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.specs import Kind, PlacementSpec
from bihuan_gateway.routes.wire import (
    After,
    Caller,
    Changes,
    Control,
    Expected,
    Key,
    Named,
    Size,
    View,
    control_router,
    created,
    listed,
    shown,
    spec_of,
    taken_version,
)

router = control_router("placements")


class PlacementCreate(PlacementSpec):
    """A placement to create; the id is made where none is given."""

    id: ResourceId | None = None


class PlacementView(View, PlacementSpec):
    """A placement as it stands."""


class PlacementPage(BaseModel):
    """A page of placements, by id."""

    placements: list[PlacementView]
    next_page_token: str


@router.post("/v1/placements", status_code=201, response_model=PlacementView)
async def create_placement(body: PlacementCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create a placement (admin)."""
    spec = spec_of(PlacementSpec, body)
    return created(await control.catalogue.create(caller, Kind.PLACEMENTS, spec, resource_id=body.id, key=key))


@router.get("/v1/placements/{resource_id}", response_model=PlacementView)
async def get_placement(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one placement."""
    return shown(await control.catalogue.get(caller, Kind.PLACEMENTS, resource_id))


@router.get("/v1/placements", response_model=PlacementPage)
async def list_placements(control: Control, caller: Caller, after: After, size: Size = 100) -> JSONResponse:
    """List placements by id."""
    page = await control.catalogue.list(
        caller, Kind.PLACEMENTS, size=size, after=after, advertiser_id=None, parent_id=None
    )
    return listed(page, "placements")


@router.patch("/v1/placements/{resource_id}", response_model=PlacementView)
async def change_placement(
    resource_id: Named, body: Changes, control: Control, caller: Caller, expected: Expected
) -> JSONResponse:
    """Change a placement by a JSON merge patch; with `version` or If-Match only if that is the newest."""
    changes, version = taken_version(body, expected)
    return shown(await control.catalogue.patch(caller, Kind.PLACEMENTS, resource_id, changes, version=version))
