"""Campaigns."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.specs import CampaignSpec, Kind
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

router = control_router("campaigns")


class CampaignCreate(CampaignSpec):
    """A campaign to create; the id is made where none is given."""

    id: ResourceId | None = None


class CampaignView(View, CampaignSpec):
    """A campaign as it stands."""

    terms_version: int
    terms_acked_version: int
    terms_acked: bool


class CampaignPage(BaseModel):
    """A page of campaigns, by id."""

    campaigns: list[CampaignView]
    next_page_token: str


@router.post("/v1/campaigns", status_code=201, response_model=CampaignView)
async def create_campaign(body: CampaignCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create a campaign; it serves once attribution acknowledged its terms, normally before this answers."""
    spec = spec_of(CampaignSpec, body)
    return created(await control.catalogue.create(caller, Kind.CAMPAIGNS, spec, resource_id=body.id, key=key))


@router.get("/v1/campaigns/{resource_id}", response_model=CampaignView)
async def get_campaign(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one campaign."""
    return shown(await control.catalogue.get(caller, Kind.CAMPAIGNS, resource_id))


@router.get("/v1/campaigns", response_model=CampaignPage)
async def list_campaigns(
    control: Control, caller: Caller, after: After, size: Size = 100, advertiser_id: Tenant = None
) -> JSONResponse:
    """List campaigns by id."""
    page = await control.catalogue.list(
        caller, Kind.CAMPAIGNS, size=size, after=after, advertiser_id=advertiser_id, parent_id=None
    )
    return listed(page, "campaigns")


@router.patch("/v1/campaigns/{resource_id}", response_model=CampaignView)
async def change_campaign(
    resource_id: Named, body: Changes, control: Control, caller: Caller, expected: Expected
) -> JSONResponse:
    """Change a campaign by a JSON merge patch; with `version` or If-Match only if that is the newest."""
    changes, version = taken_version(body, expected)
    return shown(await control.catalogue.patch(caller, Kind.CAMPAIGNS, resource_id, changes, version=version))
