"""
Signatures of webhooks: HMAC-SHA256 over `<timestamp>.<body>` under a secret of the advertiser.

The header reads `t=<seconds>,v1=<hex>`; while a secret of the gateway is being replaced it carries one `v1` for each,
so that a receiver may change over at its own time. A scheme that is not `v1` is to be ignored.
"""

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

SIGNATURE_HEADER: Final = "bihuan-signature"
DELIVERY_HEADER: Final = "bihuan-delivery"
EVENT_HEADER: Final = "bihuan-event"
_SCOPE = b"bihuan lead webhook\n"
_FEWEST_CHARS = 32


@dataclass(frozen=True, slots=True)
class WebhookSecrets:
    """Secrets of the gateway, newest first, that those of advertisers are derived from. Without one nothing is sent."""

    masters: tuple[str, ...] = field(default=(), repr=False)

    @classmethod
    def parse(cls, text: str) -> "WebhookSecrets":
        """Read secrets that commas separate (ValueError for one of fewer than 32 characters)."""
        masters = tuple(part.strip() for part in text.split(",") if part.strip())
        if any(len(one) < _FEWEST_CHARS for one in masters):
            raise ValueError(f"a webhook secret has at least {_FEWEST_CHARS} characters")
        return cls(masters)

    def of(self, advertiser_id: str) -> tuple[str, ...]:
        """Return the secrets of an advertiser, newest first."""
        return tuple(_derived(master, advertiser_id) for master in self.masters)


def _derived(master: str, advertiser_id: str) -> str:
    digest = hmac.digest(master.encode(), _SCOPE + advertiser_id.encode(), "sha256")
    return "whsec_" + base64.urlsafe_b64encode(digest).decode().rstrip("=")


def signature(secrets: Sequence[str], timestamp_s: int, body: bytes) -> str:
    """Return the value of the signature header."""
    signed = f"{timestamp_s}.".encode() + body
    parts = [f"v1={hmac.digest(secret.encode(), signed, 'sha256').hex()}" for secret in secrets]
    return ",".join([f"t={timestamp_s}", *parts])
