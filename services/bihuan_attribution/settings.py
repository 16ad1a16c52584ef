"""Settings of attribution, from `BIHUAN_ATTRIBUTION_*`."""

from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from bihuan_shared.settings import ServerSettings


class AttributionSettings(ServerSettings):
    """What attribution can be told by its environment."""

    model_config = SettingsConfigDict(
        env_prefix="BIHUAN_ATTRIBUTION_", frozen=True, extra="ignore", env_ignore_empty=True
    )

    billing_batch: Annotated[int, Field(ge=1, le=20_000)] = 2_000
    """Most events that are billed in one transaction."""
    consumer: Annotated[str, Field(min_length=1, max_length=64)] = "attribution-0"
    """Name of this process among those that follow changes of who is who; unique, and stable over restarts."""
    event_shards: Annotated[int, Field(ge=1, le=64)] = 4
    """How many streams accepted events are spread over."""
