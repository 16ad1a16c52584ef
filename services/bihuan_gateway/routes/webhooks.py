"""Webhooks of leads."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.routes.wire import Caller, Control, Named, control_router

router = control_router("advertisers")


class WebhookSecretView(BaseModel):
    """What an advertiser verifies deliveries with: any of the secrets, newest first."""

    advertiser_id: str
    secrets: list[str]


@router.get("/v1/advertisers/{resource_id}/webhook-secret", response_model=WebhookSecretView)
async def get_webhook_secret(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show the secrets that an advertiser's webhooks are signed with (admin)."""
    found = await control.webhooks.secrets_of(caller, resource_id)
    document = {"advertiser_id": resource_id, "secrets": list(found)}
    return JSONResponse(document, headers={"cache-control": "no-store"})
