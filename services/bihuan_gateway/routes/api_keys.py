"""API keys."""

from typing import Literal

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.access import Role
from bihuan_gateway.control.fields import DisplayName, ResourceId, Spec
from bihuan_gateway.routes.wire import Caller, Control, Key, control_router
from bihuan_shared.clock import format_rfc3339

router = control_router("api keys")


class ApiKeyCreate(Spec):
    """A key to make; an advertiser's key names its tenant."""

    role: Literal["admin", "advertiser", "analyst"]
    advertiser_id: ResourceId | None = None
    display_name: DisplayName = "key"


class ApiKeyView(BaseModel):
    """A new key. `secret` is shown this once."""

    id: str
    role: str
    advertiser_id: str | None
    display_name: str
    create_time: str
    secret: str


@router.post("/v1/api-keys", status_code=201, response_model=ApiKeyView)
async def create_api_key(body: ApiKeyCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Make an API key (admin); a repeated idempotency key is 409, because a secret is shown once."""
    made = await control.keys.create(
        caller, Role(body.role), advertiser_id=body.advertiser_id, display_name=body.display_name, key=key
    )
    written = {
        "id": made.holder.key_id,
        "role": made.holder.role.value,
        "advertiser_id": made.holder.advertiser_id or None,
        "display_name": body.display_name,
        "create_time": format_rfc3339(made.create_time_us),
        "secret": made.secret,
    }
    return JSONResponse(written, status_code=201, headers={"cache-control": "no-store"})
