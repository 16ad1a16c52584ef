"""What identity can be told by its environment, `BIHUAN_IDENTITY_*`."""

import base64
import binascii
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from bihuan_identity.domain.graph import MAX_ITEM_IDENTIFIERS
from bihuan_identity.domain.keys import PEPPER_BYTES
from bihuan_shared.settings import ServerSettings


class Settings(ServerSettings):
    """Settings of identity; the shared ones included."""

    model_config = SettingsConfigDict(env_prefix="BIHUAN_IDENTITY_")

    pepper: SecretStr
    """Base64 of the 32 secret bytes that identifiers are hashed under. Lost or changed, nobody is recognised again."""
    max_cluster_size: Annotated[int, Field(ge=MAX_ITEM_IDENTIFIERS, le=10_000)] = 512
    """The most identifiers that one person may have; a link beyond it is refused."""
    index_timeout_ms: Annotated[int, Field(ge=1, le=10_000)] = 250
    """How long the Redis index may take before the database is asked in its place."""

    @field_validator("pepper")
    @classmethod
    def _pepper_has_32_bytes(cls, pepper: SecretStr) -> SecretStr:
        try:
            size = len(base64.b64decode(pepper.get_secret_value(), validate=True))
        except binascii.Error:
            size = -1
        if size != PEPPER_BYTES:
            raise ValueError(f"must be base64 of {PEPPER_BYTES} bytes")
        return pepper

    def pepper_bytes(self) -> bytes:
        """Return the pepper itself, 32 bytes."""
        return base64.b64decode(self.pepper.get_secret_value(), validate=True)
