"""Promoters."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.specs import Kind, PromoterSpec
from bihuan_gateway.routes.wire import (
    After,
    Caller,
    Control,
    Key,
    Named,
    Size,
    View,
    control_router,
    created,
    listed,
    shown,
    spec_of,
)

router = control_router("promoters")


class PromoterCreate(PromoterSpec):
    """A promoter to create; the id is made where none is given."""

    id: ResourceId | None = None


class PromoterView(View, PromoterSpec):
    """A promoter as it stands."""


class PromoterPage(BaseModel):
    """A page of promoters, by id."""

    promoters: list[PromoterView]
    next_page_token: str


@router.post("/v1/promoters", status_code=201, response_model=PromoterView)
async def create_promoter(body: PromoterCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create a promoter (admin)."""
    spec = spec_of(PromoterSpec, body)
    return created(await control.catalogue.create(caller, Kind.PROMOTERS, spec, resource_id=body.id, key=key))


@router.get("/v1/promoters/{resource_id}", response_model=PromoterView)
async def get_promoter(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one promoter."""
    return shown(await control.catalogue.get(caller, Kind.PROMOTERS, resource_id))


@router.get("/v1/promoters", response_model=PromoterPage)
async def list_promoters(control: Control, caller: Caller, after: After, size: Size = 100) -> JSONResponse:
    """List promoters by id."""
    page = await control.catalogue.list(
        caller, Kind.PROMOTERS, size=size, after=after, advertiser_id=None, parent_id=None
    )
    return listed(page, "promoters")
