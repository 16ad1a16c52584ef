"""Tags that expressions may name: the platform's, and an advertiser's own."""

from typing import Annotated

from fastapi import Path, Query, Response
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, JsonValue

from bihuan_gateway.control.fields import ResourceId, Spec
from bihuan_gateway.control.tags import MAX_TAGS, PlatformTag, TagSpec
from bihuan_gateway.routes.wire import Caller, Control, Key, Tenant, control_router
from bihuan_shared.targeting import namespace_of

router = control_router("tags")


Name = Annotated[str, Path(max_length=128, description="with or without the namespace")]
Owner = Annotated[ResourceId, Query(description="whose tag")]


class TagsPut(Spec):
    """Private tags to declare; a tag that is there is replaced where its type and its class stay, others stay."""

    advertiser_id: ResourceId
    tags: Annotated[tuple[TagSpec, ...], Field(min_length=1, max_length=MAX_TAGS)]


class TagView(BaseModel):
    """A tag: `advertiser_id` is null for the platform's. A `derived` one is made by a rule and cannot be set."""

    name: str
    type: str
    data_class: str
    purposes: list[str]
    values: list[str]
    description: str
    display_names: dict[str, str]
    retention_days: int
    half_life_days: float
    iab_audience_id: int | None
    derived: bool
    advertiser_id: str | None


class TagsMadeView(BaseModel):
    """What was declared, as it stands, and how many were new or changed."""

    advertiser_id: str
    namespace: str
    tags: list[TagView]
    changed_count: int


class TagListView(BaseModel):
    """The platform's tags, then the advertiser's own; `namespace` is null where no advertiser is asked for."""

    taxonomy_version: str
    namespace: str | None
    tags: list[TagView]


@router.post("/v1/tags", response_model=TagsMadeView)
async def put_tags(body: TagsPut, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Declare private tags in the advertiser's namespace, all or none; repeating it changes nothing."""
    made = await control.tags.put(caller, body.advertiser_id, body.tags, key=key)
    return JSONResponse(
        {
            "advertiser_id": body.advertiser_id,
            "namespace": namespace_of(body.advertiser_id),
            "tags": [_own(tag, body.advertiser_id) for tag in made.tags],
            "changed_count": made.changed_count,
        }
    )


@router.delete("/v1/tags/{name}", status_code=204, response_class=Response)
async def delete_tag(name: Name, control: Control, caller: Caller, advertiser_id: Owner) -> Response:
    """Delete a private tag: its values are told no more, nor under a tag that is declared under its name later."""
    await control.tags.delete(caller, advertiser_id, name)
    return Response(status_code=204)


@router.get("/v1/tags", response_model=TagListView)
async def list_tags(control: Control, caller: Caller, advertiser_id: Tenant = None) -> JSONResponse:
    """List the platform's tags, and an advertiser's own: the caller's, or that which a key without tenant names."""
    platform, own = await control.tags.list(caller, advertiser_id)
    tags = [_platform(tag) for tag in platform.tags]
    if own is not None:
        tags += [_own(tag, own.advertiser_id) for tag in own.tags]
    namespace = namespace_of(own.advertiser_id) if own is not None else None
    return JSONResponse({"taxonomy_version": platform.version, "namespace": namespace, "tags": tags})


def _own(tag: TagSpec, advertiser_id: str) -> dict[str, JsonValue]:
    return {**tag.model_dump(mode="json"), "derived": False, "advertiser_id": advertiser_id}


def _platform(tag: PlatformTag) -> dict[str, JsonValue]:
    return {
        "name": tag.name,
        "type": tag.type,
        "data_class": tag.data_class,
        "purposes": list(tag.purposes),
        "values": list(tag.values),
        "description": tag.description,
        "display_names": dict(tag.display_names),
        "retention_days": tag.retention_days,
        "half_life_days": tag.half_life_days,
        "iab_audience_id": tag.iab_audience_id,
        "derived": tag.derived,
        "advertiser_id": None,
    }
