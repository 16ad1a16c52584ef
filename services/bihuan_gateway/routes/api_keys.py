"""API keys."""

from typing import Literal

from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.control.fields import DisplayName, ResourceId, Spec
from bihuan_gateway.routes.wire import After, Caller, Control, Key, Named, Size, control_router, page_token
from bihuan_shared.clock import format_rfc3339

router = control_router("api keys")


class ApiKeyCreate(Spec):
    """A key to make; an advertiser's key names its tenant."""

    role: Literal["admin", "advertiser", "analyst"]
    advertiser_id: ResourceId | None = None
    display_name: DisplayName = "key"


class ApiKeyView(BaseModel):
    """A key."""

    id: str
    role: str
    advertiser_id: str | None
    display_name: str
    create_time: str


class NewApiKeyView(ApiKeyView):
    """A new key. `secret` is shown this once."""

    secret: str


class ApiKeyPage(BaseModel):
    """A page of keys, by id."""

    api_keys: list[ApiKeyView]
    next_page_token: str


def _document(holder: Principal, display_name: str, create_time_us: int) -> dict[str, str | None]:
    return {
        "id": holder.key_id,
        "role": holder.role.value,
        "advertiser_id": holder.advertiser_id or None,
        "display_name": display_name,
        "create_time": format_rfc3339(create_time_us),
    }


@router.post("/v1/api-keys", status_code=201, response_model=NewApiKeyView)
async def create_api_key(body: ApiKeyCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Make an API key (admin); a repeated idempotency key is 409, because a secret is shown once."""
    made = await control.keys.create(
        caller, Role(body.role), advertiser_id=body.advertiser_id, display_name=body.display_name, key=key
    )
    written = {**_document(made.holder, body.display_name, made.create_time_us), "secret": made.secret}
    return JSONResponse(written, status_code=201, headers={"cache-control": "no-store"})


@router.get("/v1/api-keys", response_model=ApiKeyPage)
async def list_api_keys(control: Control, caller: Caller, after: After, size: Size = 100) -> JSONResponse:
    """List API keys by id (admin), without their secrets."""
    keys, next_after = await control.keys.list(caller, size=size, after=after)
    written = [_document(key.holder, key.display_name, key.create_time_us) for key in keys]
    return JSONResponse({"api_keys": written, "next_page_token": page_token(next_after)})


@router.delete("/v1/api-keys/{resource_id}", status_code=204, response_class=Response)
async def revoke_api_key(resource_id: Named, control: Control, caller: Caller) -> Response:
    """Revoke an API key (admin); the other processes of a deployment refuse it within five seconds."""
    await control.keys.revoke(caller, resource_id)
    return Response(status_code=204)
