"""Secrets of webhooks, as admins see them to hand them on."""

from dataclasses import dataclass

from bihuan_gateway.control.access import Principal, require_admin
from bihuan_gateway.control.specs import Kind
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_gateway.control.webhook_signature import WebhookSecrets
from bihuan_shared.errors import FailedPrecondition


@dataclass(frozen=True, slots=True)
class WebhookDesk:
    """Shows what receivers verify signatures with."""

    catalogue: Catalogue
    secrets: WebhookSecrets

    async def secrets_of(self, principal: Principal, advertiser_id: str) -> tuple[str, ...]:
        """
        Return an advertiser's secrets, newest first (admins).

        NotFound where there is no such advertiser, FailedPrecondition where the gateway was given no secret.
        """
        require_admin(principal)
        await self.catalogue.get(principal, Kind.ADVERTISERS, advertiser_id)
        found = self.secrets.of(advertiser_id)
        if not found:
            raise FailedPrecondition("webhooks are off: BIHUAN_GATEWAY_WEBHOOK_SECRETS is not set")
        return found
