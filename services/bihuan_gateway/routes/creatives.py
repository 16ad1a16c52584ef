"""Creatives."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.specs import CreativeSpec, Kind
from bihuan_gateway.routes.wire import (
    After,
    Caller,
    Changes,
    Control,
    Expected,
    Key,
    Named,
    Size,
    Tenant,
    View,
    control_router,
    created,
    listed,
    shown,
    spec_of,
    taken_version,
)

router = control_router("creatives")


class CreativeCreate(CreativeSpec):
    """A creative to create; the id is made where none is given."""

    id: ResourceId | None = None


class CreativeView(View, CreativeSpec):
    """A creative as it stands."""


class CreativePage(BaseModel):
    """A page of creatives, by id."""

    creatives: list[CreativeView]
    next_page_token: str


@router.post("/v1/creatives", status_code=201, response_model=CreativeView)
async def create_creative(body: CreativeCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create a creative; it serves once an admin approved it."""
    spec = spec_of(CreativeSpec, body)
    return created(await control.catalogue.create(caller, Kind.CREATIVES, spec, resource_id=body.id, key=key))


@router.get("/v1/creatives/{resource_id}", response_model=CreativeView)
async def get_creative(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one creative."""
    return shown(await control.catalogue.get(caller, Kind.CREATIVES, resource_id))


@router.get("/v1/creatives", response_model=CreativePage)
async def list_creatives(
    control: Control,
    caller: Caller,
    after: After,
    size: Size = 100,
    advertiser_id: Tenant = None,
    ad_group_id: Annotated[ResourceId | None, Query(description="only of this one")] = None,
) -> JSONResponse:
    """List creatives by id."""
    page = await control.catalogue.list(
        caller, Kind.CREATIVES, size=size, after=after, advertiser_id=advertiser_id, parent_id=ad_group_id
    )
    return listed(page, "creatives")


@router.patch("/v1/creatives/{resource_id}", response_model=CreativeView)
async def change_creative(
    resource_id: Named, body: Changes, control: Control, caller: Caller, expected: Expected
) -> JSONResponse:
    """Change a creative by a JSON merge patch; with `version` or If-Match only if that is the newest."""
    changes, version = taken_version(body, expected)
    return shown(await control.catalogue.patch(caller, Kind.CREATIVES, resource_id, changes, version=version))
