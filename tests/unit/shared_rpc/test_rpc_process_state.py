"""Settings, callers, logs and trace context: what a process is told and what it tells."""

import json
import logging as standard_logging
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from pydantic import ValidationError
from pydantic_settings import SettingsConfigDict

from bihuan_shared import logging, metrics, telemetry
from bihuan_shared.callers import Caller, CallerRegistry, Credential, Role, current_caller, secret_sha256, set_caller
from bihuan_shared.errors import Unauthenticated
from bihuan_shared.settings import ServerSettings

TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class IdentitySettings(ServerSettings):
    """Settings as a service declares them."""

    model_config = SettingsConfigDict(env_prefix="BIHUAN_IDENTITY_")
    cluster_limit: int = 64


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name in ("DATABASE_URL", "STATE_DIR", "CALLERS", "CLOCK", "REDIS_URL", "LAKE_URL", "LOG_LEVEL"):
        monkeypatch.delenv(f"BIHUAN_{name}", raising=False)
    yield
    telemetry.receive(None)


def test_defaults_keep_everything_in_the_state_folder() -> None:
    settings = IdentitySettings()
    assert settings.database_url == "sqlite:///.bihuan/identity/identity.db"
    assert settings.lake_url == ".bihuan/lake"
    assert settings.service_name() == "identity"
    assert settings.callers == ()


def test_state_folder_moves_what_lies_in_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BIHUAN_STATE_DIR", str(tmp_path))
    assert IdentitySettings().database_url == f"sqlite:///{tmp_path}/identity/identity.db"


def test_service_variable_wins_over_the_shared_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIHUAN_DATABASE_URL", "postgresql+psycopg://shared/db")
    assert IdentitySettings().database_url == "postgresql+psycopg://shared/db"
    monkeypatch.setenv("BIHUAN_IDENTITY_DATABASE_URL", "postgresql+psycopg://own/db")
    assert IdentitySettings().database_url == "postgresql+psycopg://own/db"
    assert IdentitySettings(database_url="sqlite://").database_url == "sqlite://"


def test_names_that_are_not_shared_are_not_read_from_the_shared_prefix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIHUAN_LISTEN", "0.0.0.0:1")
    monkeypatch.setenv("BIHUAN_CLUSTER_LIMIT", "1")
    assert IdentitySettings().listen == "127.0.0.1:0"
    assert IdentitySettings().cluster_limit == 64


def test_settings_are_frozen() -> None:
    with pytest.raises(ValidationError):
        IdentitySettings().listen = "elsewhere"


def test_callers_come_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"name": "gateway", "role": "internal", "secret_sha256": secret_sha256("s")}
    monkeypatch.setenv("BIHUAN_CALLERS", json.dumps([row]))
    assert IdentitySettings().callers == (Credential("gateway", Role.INTERNAL, secret_sha256("s")),)


@pytest.mark.parametrize(
    "rows",
    [
        [{"name": "a", "role": "admin", "secret_sha256": "0" * 64}],
        [{"name": "a", "role": "internal", "secret_sha256": "xyz"}],
        [{"name": "a", "role": "internal", "secret_sha256": "g" * 64}],
        [{"name": "a", "role": "internal", "secret_sha256": c * 64} for c in "01"],
        [{"name": n, "role": "internal", "secret_sha256": "0" * 64} for n in "ab"],
    ],
)
def test_ambiguous_or_malformed_callers_are_refused(
    monkeypatch: pytest.MonkeyPatch, rows: list[dict[str, str]]
) -> None:
    monkeypatch.setenv("BIHUAN_CALLERS", json.dumps(rows))
    with pytest.raises(ValidationError):
        IdentitySettings()


def test_secrets_do_not_show() -> None:
    settings = IdentitySettings(caller_secret="hunter2", token_keys="k1:abc")  # type: ignore[arg-type]  # coerced
    assert "hunter2" not in repr(settings)
    assert "abc" not in repr(settings)


@pytest.mark.parametrize("header", [None, "", "s", "Basic s", "bearer s", "Bearer ", "Bearer s ", "Bearer S"])
def test_registry_knows_only_the_exact_credential(header: str | None) -> None:
    registry = CallerRegistry([Credential("gateway", Role.INTERNAL, secret_sha256("s"))])
    assert registry.authenticate("Bearer s") == Caller(Role.INTERNAL, "gateway")
    with pytest.raises(Unauthenticated):
        registry.authenticate(header)


async def test_caller_belongs_to_its_task() -> None:
    with pytest.raises(Unauthenticated):
        current_caller()
    set_caller(Caller(Role.PARTNER, "dsp"))
    assert current_caller().name == "dsp"


@pytest.mark.parametrize("text", ["", "00-0-0-0", TRACEPARENT.upper(), "00-" + "0" * 32 + "-" + "1" * 16 + "-00"])
async def test_malformed_trace_context_begins_a_new_trace(text: str) -> None:
    telemetry.receive(text)
    assert telemetry.trace_id() is None
    fresh = telemetry.current_traceparent()
    assert telemetry.current_traceparent() == fresh
    assert telemetry.trace_id() == fresh[3:35]


async def test_trace_context_is_carried_on_unchanged_without_spans() -> None:
    telemetry.receive(TRACEPARENT)
    assert telemetry.current_traceparent() == TRACEPARENT
    with telemetry.server_span("GET /", TRACEPARENT) as span, telemetry.client_span("x") as inner:
        assert not span.is_recording()
        assert not inner.is_recording()


async def test_log_lines_are_json_with_the_trace_id(capsys: pytest.CaptureFixture[str]) -> None:
    root = standard_logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        logging.configure("INFO", service="identity")
        telemetry.receive(TRACEPARENT)
        structlog.get_logger("test").info("served", count=3)
        standard_logging.getLogger("library").warning("careful %s", "now")
        structlog.get_logger("test").debug("hidden")
    finally:
        structlog.reset_defaults()
        root.handlers[:] = handlers
        root.setLevel(level)
    first, second = (json.loads(line) for line in capsys.readouterr().err.splitlines())
    assert (first["event"], first["count"], first["level"], first["service"]) == ("served", 3, "info", "identity")
    assert first["trace_id"] == second["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert second["event"] == "careful now"


def test_metrics_are_served() -> None:
    server = metrics.start_metrics_server(0)
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{server.server_port}/metrics") as answer:
            assert b"bihuan_rpc_server_requests_total" in answer.read()
    finally:
        server.shutdown()
        server.server_close()
