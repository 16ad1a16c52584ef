"""What every service can be told by its environment."""

from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from bihuan_shared.callers import Credential
from bihuan_shared.lake_url import parse_lake_url

PREFIX = "BIHUAN_"


class _SharedEnvironment(EnvSettingsSource):
    """Reads `BIHUAN_X` for the names that all services share."""

    def __call__(self) -> dict[str, object]:
        shared = ServerSettings.shared_names
        return {name: value for name, value in super().__call__().items() if name in shared}


class ServerSettings(BaseSettings):
    """
    Settings of one service, read once from `BIHUAN_<SERVICE>_*`.

    A service subclasses this with `model_config = SettingsConfigDict(env_prefix="BIHUAN_IDENTITY_")`. The names in
    `shared_names` are read from `BIHUAN_*` too; the service's own variable wins.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        # What is refused may be a credential that was put into the wrong place.
        hide_input_in_errors=True,
    )

    shared_names: ClassVar[frozenset[str]] = frozenset(
        {
            "database_url",
            "redis_url",
            "lake_url",
            "state_dir",
            "clock",
            "callers",
            "caller_secret",
            "identity_target",
            "token_keys",
            "log_level",
            "drain_s",
        }
    )

    state_dir: Path = Path(".bihuan")
    """Folder of everything that is kept on this machine."""
    listen: str = "127.0.0.1:0"
    """Address to serve on; port 0 lets the system choose."""
    metrics_port: Annotated[int, Field(ge=0, le=65535)] | None = None
    """Port of the Prometheus endpoint; none when absent."""
    port_file: Path | None = None
    """The bound port is written here, atomically, once calls are answered."""
    database_url: str = ""
    """SQLAlchemy URL of the service's own database; SQLite in `state_dir` when empty."""
    redis_url: str | None = None
    """Redis or Valkey."""
    lake_url: str = ""
    """Where the event lake is, a path, `file://…` or `s3://bucket/prefix`; a folder of `state_dir` when empty."""
    clock: Literal["system", "replay"] = "system"
    """`replay` lets callers state the time of a call."""
    callers: tuple[Credential, ...] = ()
    """Who may call; JSON in the environment. Nobody when empty."""
    caller_secret: SecretStr = SecretStr("")
    """What this service shows to the services that it calls."""
    identity_target: str = ""
    """Where identity is, host:port; it translates the tokens of partners, which are refused while this is empty."""
    token_keys: SecretStr = SecretStr("")
    """Key ring of tracking tokens."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    """Least level that is logged."""
    drain_s: Annotated[float, Field(ge=0, le=600)] = 10.0
    """How long calls in flight may take to finish after SIGTERM."""
    max_concurrent_calls: Annotated[int, Field(ge=1)] = 4096
    """Calls in flight beyond which new ones are refused with OVERLOADED."""

    @classmethod
    def service_name(cls) -> str:
        """The service that these settings are for, from the prefix: `BIHUAN_IDENTITY_` gives `identity`."""
        name = (cls.model_config.get("env_prefix") or PREFIX).removeprefix(PREFIX).strip("_").lower()
        return name or "service"

    @model_validator(mode="before")
    @classmethod
    def _local_defaults(cls, values: dict[str, object]) -> dict[str, object]:
        state_dir = Path(str(values.get("state_dir") or ".bihuan"))
        filled = dict(values)
        if not filled.get("database_url"):
            name = cls.service_name()
            filled["database_url"] = f"sqlite:///{state_dir / name / name}.db"
        if not filled.get("lake_url"):
            filled["lake_url"] = str(state_dir / "lake")
        return filled

    @field_validator("lake_url")
    @classmethod
    def _reachable_lake(cls, lake_url: str) -> str:
        parse_lake_url(lake_url)
        return lake_url

    @field_validator("callers")
    @classmethod
    def _distinct_callers(cls, callers: tuple[Credential, ...]) -> tuple[Credential, ...]:
        if len({c.name for c in callers}) != len(callers) or len({c.secret_sha256 for c in callers}) != len(callers):
            raise ValueError("names and secrets of callers must differ")
        if any(len(c.secret_sha256) != 64 or not _is_hex(c.secret_sha256) for c in callers):  # noqa: PLR2004
            raise ValueError("secret_sha256 must be 64 hexadecimal digits")
        return callers

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Arguments first, then the service's own variables, then the shared ones; no files."""
        return (init_settings, env_settings, _SharedEnvironment(settings_cls, env_prefix=PREFIX))


def _is_hex(text: str) -> bool:
    return all(character in "0123456789abcdefABCDEF" for character in text)
