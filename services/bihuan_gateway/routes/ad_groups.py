"""Ad groups."""

from typing import Annotated

from fastapi import Query
from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.specs import AdGroupSpec, Kind
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

router = control_router("ad groups")


class AdGroupCreate(AdGroupSpec):
    """An ad group to create; the id is made where none is given."""

    id: ResourceId | None = None


class AdGroupView(View, AdGroupSpec):
    """An ad group as it stands."""


class AdGroupPage(BaseModel):
    """A page of ad groups, by id."""

    ad_groups: list[AdGroupView]
    next_page_token: str


@router.post("/v1/ad-groups", status_code=201, response_model=AdGroupView)
async def create_ad_group(body: AdGroupCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create an ad group; its targeting expression is checked against the taxonomy."""
    spec = spec_of(AdGroupSpec, body)
    return created(await control.catalogue.create(caller, Kind.AD_GROUPS, spec, resource_id=body.id, key=key))


@router.get("/v1/ad-groups/{resource_id}", response_model=AdGroupView)
async def get_ad_group(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one ad group."""
    return shown(await control.catalogue.get(caller, Kind.AD_GROUPS, resource_id))


@router.get("/v1/ad-groups", response_model=AdGroupPage)
async def list_ad_groups(
    control: Control,
    caller: Caller,
    after: After,
    size: Size = 100,
    advertiser_id: Tenant = None,
    campaign_id: Annotated[ResourceId | None, Query(description="only of this one")] = None,
) -> JSONResponse:
    """List ad groups by id."""
    page = await control.catalogue.list(
        caller, Kind.AD_GROUPS, size=size, after=after, advertiser_id=advertiser_id, parent_id=campaign_id
    )
    return listed(page, "ad_groups")


@router.patch("/v1/ad-groups/{resource_id}", response_model=AdGroupView)
async def change_ad_group(
    resource_id: Named, body: Changes, control: Control, caller: Caller, expected: Expected
) -> JSONResponse:
    """Change an ad group by a JSON merge patch; with `version` or If-Match only if that is the newest."""
    changes, version = taken_version(body, expected)
    return shown(await control.catalogue.patch(caller, Kind.AD_GROUPS, resource_id, changes, version=version))
