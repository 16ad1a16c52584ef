"""What profile can be told by its environment, `BIHUAN_PROFILE_*`."""

from pathlib import Path
from typing import Annotated

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from bihuan_profile.domain.lifetime import RECENT_SHARE
from bihuan_shared.settings import ServerSettings


class Settings(ServerSettings):
    """Settings of profile; the shared ones included."""

    model_config = SettingsConfigDict(env_prefix="BIHUAN_PROFILE_")

    consume: bool = True
    """Whether this process reads the streams, makes profiles anew, and removes what is erased or has expired."""
    consumer: Annotated[str, Field(min_length=1, max_length=64)] = "profile-0"
    """Name of this process among the readers of the streams; unique, and stable over restarts."""
    event_shards: Annotated[int, Field(ge=1, le=1_024)] = 4
    """Number of shards of the stream of accepted events, as its writer cuts it."""
    tell_changes: bool = True
    """Whether each write is told on `st:{profiles:0}` before it is made, so that audiences follow within seconds."""
    population_interval_s: Annotated[float, Field(ge=0.2, le=86_400)] = 300.0
    """How often all persons are looked over for quintiles and expected spend, by one of the processes."""
    recent_share: Annotated[float, Field(ge=0, le=1)] = RECENT_SHARE
    """Weight of recent spend in expected spend, beside the models of all of it; 0 suits where most order once."""
    taxonomy: Path | None = None
    """File of the platform's tags; those that come with the package where it is absent."""

    sweep_hours: Annotated[float, Field(gt=0, le=720)] = 24
    """How often everything is looked through for what is older than its retention."""
    erasure_settle_s: Annotated[float, Field(ge=1, le=3_600)] = 120
    """How long after an erasure the lake is looked through once more, for what was being written then."""

    def store_url(self) -> str:
        """The URL of Redis or Valkey. ValueError where none is set: profiles are kept nowhere else."""
        if not self.redis_url:
            raise ValueError("BIHUAN_PROFILE_REDIS_URL or BIHUAN_REDIS_URL must be set")
        return self.redis_url
