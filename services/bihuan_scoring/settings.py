"""What scoring can be told by its environment."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import SettingsConfigDict

from bihuan_scoring.domain.model_keys import ModelTrust
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
    model_public_keys: str = ""
    """`2:<base64>,1:<base64>`: public Ed25519 keys of whoever may make models; no model serves while this is empty."""
    allow_unsigned_models: bool = False
    """Whether a version without a signature may serve, such as one of a release that did not sign."""
    compile_trees: bool = True
    """Whether the trees of what serves are compiled to machine code."""
    compile_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 300.0
    """How long compiling the trees of one response may take; beyond that LightGBM's own predictor serves it."""

    @field_validator("model_public_keys")
    @classmethod
    def _keys_are_well_formed(cls, keys: str) -> str:
        ModelTrust.parse(keys)
        return keys

    def model_trust(self) -> ModelTrust:
        """Return whose models may serve."""
        return ModelTrust.parse(self.model_public_keys, allow_unsigned=self.allow_unsigned_models)
