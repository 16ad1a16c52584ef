"""Publishers."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.fields import ResourceId
from bihuan_gateway.control.specs import Kind, PublisherSpec
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

router = control_router("publishers")


class PublisherCreate(PublisherSpec):
    """A publisher to create; the id is made where none is given."""

    id: ResourceId | None = None


class PublisherView(View, PublisherSpec):
    """A publisher as it stands."""


class PublisherPage(BaseModel):
    """A page of publishers, by id."""

    publishers: list[PublisherView]
    next_page_token: str


@router.post("/v1/publishers", status_code=201, response_model=PublisherView)
async def create_publisher(body: PublisherCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create a publisher (admin)."""
    spec = spec_of(PublisherSpec, body)
    return created(await control.catalogue.create(caller, Kind.PUBLISHERS, spec, resource_id=body.id, key=key))


@router.get("/v1/publishers/{resource_id}", response_model=PublisherView)
async def get_publisher(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one publisher."""
    return shown(await control.catalogue.get(caller, Kind.PUBLISHERS, resource_id))


@router.get("/v1/publishers", response_model=PublisherPage)
async def list_publishers(control: Control, caller: Caller, after: After, size: Size = 100) -> JSONResponse:
    """List publishers by id."""
    page = await control.catalogue.list(
        caller, Kind.PUBLISHERS, size=size, after=after, advertiser_id=None, parent_id=None
    )
    return listed(page, "publishers")


@router.patch("/v1/publishers/{resource_id}", response_model=PublisherView)
async def change_publisher(
    resource_id: Named, body: Changes, control: Control, caller: Caller, expected: Expected
) -> JSONResponse:
    """Change a publisher (admin) by a JSON merge patch; a new share holds for placements without one of their own."""
    changes, version = taken_version(body, expected)
    return shown(await control.catalogue.patch(caller, Kind.PUBLISHERS, resource_id, changes, version=version))
