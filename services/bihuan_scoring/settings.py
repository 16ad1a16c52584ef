"""What scoring can be told by its environment."""

import hmac
import secrets
from typing import Annotated

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import SettingsConfigDict

from bihuan_scoring.domain.model_keys import ModelTrust
from bihuan_scoring.domain.rivals import LatencyRule
from bihuan_scoring.use_cases.guarding import GuardRules
from bihuan_shared.settings import PREFIX, ServerSettings

_REACH_SECRET_CHARACTERS = 32


class Settings(ServerSettings):
    """Settings of scoring, read once from `BIHUAN_SCORING_*`. Models and audiences are kept under `state_dir`."""

    model_config = SettingsConfigDict(env_prefix=f"{PREFIX}SCORING_")

    consumer: str = Field(default="scoring-0", min_length=1, max_length=64)
    """Name of this process among those that follow changes of who is who; unique, and stable over restarts."""
    profile_target: str = Field(default="", max_length=1024)
    """Where the profile service is, host:port; without it no audience is built from an expression."""
    audience_refresh_s: float = Field(default=3_600.0, ge=0, le=31 * 86_400)
    """How often audiences of expressions without an interval of their own are built anew, in seconds; 0: when asked."""
    reach_secret: Annotated[SecretStr, Field(max_length=256)] = SecretStr("")
    """
    What the noise on told counts of persons is drawn from, 32 characters or more; the same for every process.

    Empty: derived from the secret of this service; without that one, drawn at every start.
    """
    model_public_keys: str = ""
    """`2:<base64>,1:<base64>`: public Ed25519 keys of whoever may make models; no model serves while this is empty."""
    allow_unsigned_models: bool = False
    """Whether a version without a signature may serve, such as one of a release that did not sign."""
    compile_trees: bool = True
    """Whether the trees of what serves are compiled to machine code."""
    compile_timeout_s: Annotated[float, Field(gt=0, le=3_600)] = 300.0
    """How long compiling the trees of one response may take; beyond that LightGBM's own predictor serves it."""
    guard_interval_s: Annotated[float, Field(gt=0, le=86_400)] = 60.0
    """How often what serves is judged by what happened."""
    guard_maturity_s: Annotated[float, Field(gt=0, le=604_800)] = 1_800.0
    """How long a shown advertisement waits for its click before it counts as not clicked, for the guard alone."""
    guard_probation_s: Annotated[float, Field(ge=0, le=31_536_000)] = 86_400.0
    """How long after it was published for everyone a version may still be taken out unasked."""
    drift_tolerance: Annotated[float, Field(gt=1, le=10)] = 1.5
    """Factor of odds by which probabilities may be off before a version is taken out."""
    drift_alpha: Annotated[float, Field(gt=0, lt=1)] = 0.001
    """Chance that a version within the tolerance is ever taken out for drift."""
    latency_factor: Annotated[float, Field(gt=1, le=1_000)] = 2.0
    """A canary is taken out where its p99 is beyond so many times that of what serves everyone, on the same rows ..."""
    latency_slack_ms: Annotated[float, Field(ge=0, le=60_000)] = 5.0
    """... and more than this above it ..."""
    latency_least: Annotated[int, Field(ge=20, le=1_000)] = 300
    """... on this many comparisons at the least."""
    tag_index: bool = True
    """Whether an index of everyone's tags is kept, where profile and Redis are set; profile must tell its changes."""
    tag_index_rebuild_s: float = Field(default=21_600.0, ge=1.0, le=30 * 86_400.0)
    """How often the index is built anew beside the old one, for what rests on the population and so on no change."""
    tag_index_cache_mib: int = Field(default=1_024, ge=16, le=1_048_576)
    """Memory for bitmaps that were read from the files of the index."""

    @field_validator("reach_secret")
    @classmethod
    def _reach_secret_is_long_enough(cls, secret: SecretStr) -> SecretStr:
        if 0 < len(secret.get_secret_value()) < _REACH_SECRET_CHARACTERS:
            raise ValueError(f"must be of {_REACH_SECRET_CHARACTERS} characters or more")
        return secret

    @field_validator("model_public_keys")
    @classmethod
    def _keys_are_well_formed(cls, keys: str) -> str:
        ModelTrust.parse(keys)
        return keys

    def model_trust(self) -> ModelTrust:
        """Return whose models may serve."""
        return ModelTrust.parse(self.model_public_keys, allow_unsigned=self.allow_unsigned_models)

    def guard_rules(self) -> GuardRules:
        """Return when a version is taken out unasked."""
        return GuardRules(
            LatencyRule(self.latency_factor, self.latency_slack_ms / 1_000, self.latency_least),
            self.drift_tolerance,
            self.drift_alpha,
            probation_us=int(self.guard_probation_s * 1_000_000),
            maturity_us=int(self.guard_maturity_s * 1_000_000),
            interval_s=self.guard_interval_s,
        )

    def tree_secret(self) -> bytes:
        """Return what authenticates compiled trees on the disk: derived from the secret of this service; or nothing."""
        own = self.caller_secret.get_secret_value()
        return hmac.digest(own.encode(), b"bihuan.scoring.compiled.v1", "sha256") if own else b""

    def reach_key(self) -> bytes:
        """Return the key of the noise on told counts of persons."""
        secret = self.reach_secret.get_secret_value() or self.caller_secret.get_secret_value()
        return hmac.digest(secret.encode(), b"bihuan.scoring.reach.v1", "sha256") if secret else secrets.token_bytes(32)
