"""What the gateway can be told by its environment."""

from typing import Annotated

from pydantic import Field, SecretStr
from pydantic_settings import SettingsConfigDict

from bihuan_shared.settings import ServerSettings


class Settings(ServerSettings):
    """Settings of the gateway, read once from `BIHUAN_GATEWAY_*` (and the shared names of `ServerSettings`)."""

    model_config = SettingsConfigDict(
        env_prefix="BIHUAN_GATEWAY_", frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    listen: str = "127.0.0.1:8080"
    """Address to serve HTTP on; port 0 lets the system choose."""
    public_url: str = ""
    """Where browsers reach this gateway, for tracking URLs; `http://<listen>` when empty."""
    identity_target: str = "127.0.0.1:7001"
    """gRPC target of identity."""
    profile_target: str = "127.0.0.1:7002"
    """gRPC target of profile."""
    scoring_target: str = "127.0.0.1:7003"
    """gRPC target of scoring."""
    attribution_target: str = "127.0.0.1:7004"
    """gRPC target of attribution."""
    admin_key_sha256: Annotated[str, Field(pattern=r"^([0-9a-f]{64})?$")] = ""
    """SHA-256 (lower-case hex) of the API key that makes the first keys; none when empty."""
    auto_approve: bool = False
    """Approve the creatives that admins create at once."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 2 * 1024 * 1024
    """Largest request body."""
    max_list_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    """Largest request body of member lists (`/v1/audiences`)."""
    request_timeout_s: Annotated[float, Field(gt=0, le=600)] = 10.0
    """Time a request may take."""
    list_timeout_s: Annotated[float, Field(gt=0, le=600)] = 120.0
    """Time a request with a member list may take, and the reconciliation of the books."""
    terms_wait_s: Annotated[float, Field(ge=0, le=10)] = 1.0
    """How long a write of what has terms waits for attribution to take them."""
    webhook_secrets: SecretStr = SecretStr("")
    """What the secrets of webhooks are derived from, newest first, commas between; webhooks are off when empty."""
    webhook_allow_loopback: bool = False
    """Let webhooks also be http URLs of this machine; for development."""
    leads_poll_s: Annotated[float, Field(gt=0, le=600)] = 2.0
    """How often leads that are due are looked for."""
    snapshot_poll_s: Annotated[float, Field(gt=0, le=60)] = 1.0
    """How often other processes' changes are looked for."""
