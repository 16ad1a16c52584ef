"""What scoring can be told by its environment."""

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from bihuan_shared.settings import PREFIX, ServerSettings


class Settings(ServerSettings):
    """Settings of scoring, read once from `BIHUAN_SCORING_*`. Models and audiences are kept under `state_dir`."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}SCORING_")

    consumer: str = Field(default="scoring-0", min_length=1, max_length=64)
    """Name of this process among those that follow changes of who is who; unique, and stable over restarts."""
    profile_target: str = Field(default="", max_length=1024)
    """Where the profile service is, host:port; without it no audience is built from an expression."""
    audience_refresh_s: float = Field(default=3_600.0, ge=0, le=31 * 86_400)
    """How often audiences of expressions are built anew, in seconds; 0: only when asked."""
