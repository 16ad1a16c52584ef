"""How a local stack is laid out, kept secret and kept alive."""

import asyncio
import json
import os
import signal
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.plan import SERVICES, Engines, ProcessPlan, free_ports, plan_stack
from bihuan_cli.stack.secrets import load_or_create, sha256_hex
from bihuan_cli.stack.supervisor import Supervisor
from bihuan_gateway.control.webhook_signature import WebhookSecrets
from bihuan_identity.domain.keys import parse_peppers
from bihuan_identity.domain.pseudonyms import PseudonymKeys
from bihuan_identity.domain.receipts import ReceiptKeys
from bihuan_scoring.domain.model_keys import ModelSigner, ModelTrust

ENGINES = Engines(redis_url="redis://127.0.0.1:1/0", database_url=None, lake_url="/lake")


def test_secrets_are_made_once_and_only_their_owner_may_read_them(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_create(path)
    assert load_or_create(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_two_stacks_share_no_secret(tmp_path: Path) -> None:
    one, other = (load_or_create(tmp_path / name / "secrets.json") for name in ("one", "other"))
    assert not {one.admin_key, one.token_keys, one.identity_peppers} & {
        other.admin_key,
        other.token_keys,
        other.identity_peppers,
    }


def test_a_folder_made_before_pepper_epochs_keeps_its_pepper_as_the_first(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_create(path)
    pepper = made.identity_peppers.removeprefix("1:")
    stored = json.loads(path.read_text())
    del stored["identity_peppers"]
    path.write_text(json.dumps(stored | {"identity_pepper": pepper}))
    assert load_or_create(path) == made


def test_a_folder_from_before_gets_what_it_lacks_once_and_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "secrets.json"
    made = load_or_create(path)
    stored = json.loads(path.read_text())
    del stored["pseudonym_keys"], stored["profile_secret"]
    path.write_text(json.dumps(stored))
    completed = load_or_create(path)
    assert (completed.identity_peppers, completed.receipt_keys) == (made.identity_peppers, made.receipt_keys)
    assert completed.pseudonym_keys != made.pseudonym_keys
    assert load_or_create(path) == completed
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_identity_accepts_the_keys_of_a_new_stack(tmp_path: Path) -> None:
    secrets = load_or_create(tmp_path / "secrets.json")
    assert PseudonymKeys.parse(secrets.pseudonym_keys).epoch_at(0) == 1
    assert list(ReceiptKeys.parse(secrets.receipt_keys).public_keys()) == [1]


def test_the_gateway_of_a_stack_signs_webhooks_and_may_reach_this_machine(tmp_path: Path) -> None:
    plans = {plan.name: plan for plan in _plans(tmp_path)}
    own = plans["gateway"].environment
    assert len(WebhookSecrets.parse(own["BIHUAN_GATEWAY_WEBHOOK_SECRETS"]).of("acme")) == 1
    assert own["BIHUAN_GATEWAY_WEBHOOK_ALLOW_LOOPBACK"] == "true"


def test_scoring_of_a_stack_trusts_the_models_that_its_own_key_signs(tmp_path: Path) -> None:
    plans = {plan.name: plan for plan in _plans(tmp_path)}
    trust = ModelTrust.parse(plans["scoring"].environment["BIHUAN_SCORING_MODEL_PUBLIC_KEYS"])
    signer = ModelSigner.parse(load_or_create(next(tmp_path.rglob("secrets.json"))).model_keys)
    assert trust.check(b"{}", signer.sign(b"{}")) == 1


def test_scoring_of_a_stack_keeps_one_secret_of_the_noise(tmp_path: Path) -> None:
    secrets = [
        {plan.name: plan for plan in _plans(tmp_path)}["scoring"].environment["BIHUAN_SCORING_REACH_SECRET"]
        for _ in range(2)
    ]
    assert secrets[0] == secrets[1]
    assert len(secrets[0]) >= 32


def test_services_that_serve_partners_can_ask_identity(tmp_path: Path) -> None:
    plans = {plan.name: plan for plan in _plans(tmp_path)}
    admitted = json.loads(plans["identity"].environment["BIHUAN_CALLERS"])
    for name in ("profile", "scoring", "attribution"):
        own = plans[name].environment
        assert own[f"BIHUAN_{name.upper()}_IDENTITY_TARGET"] == f"127.0.0.1:{plans['identity'].port}"
        secret = own[f"BIHUAN_{name.upper()}_CALLER_SECRET"]
        assert {"name": name, "role": "internal", "secret_sha256": sha256_hex(secret)} in admitted


def test_identity_accepts_the_peppers_of_a_new_stack(tmp_path: Path) -> None:
    (pepper,) = parse_peppers(load_or_create(tmp_path / "secrets.json").identity_peppers)
    assert pepper.epoch == 1


def test_callers_carry_hashes_and_never_secrets(tmp_path: Path) -> None:
    secrets = load_or_create(tmp_path / "secrets.json")
    text = secrets.callers_json()
    assert secrets.gateway_secret not in text
    assert sha256_hex(secrets.gateway_secret) in text
    assert {caller["role"] for caller in json.loads(text)} == {"internal"}


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20


def test_plan_gives_every_service_its_own_database_and_port(tmp_path: Path) -> None:
    plans = _plans(tmp_path)
    assert [plan.name for plan in plans] == list(SERVICES)
    databases = {plan.environment[f"BIHUAN_{plan.name.upper()}_DATABASE_URL"] for plan in plans}
    assert len(databases) == len({plan.port for plan in plans}) == len(SERVICES)


def test_plan_keeps_foreign_settings_out(tmp_path: Path) -> None:
    plans = _plans(tmp_path, {"BIHUAN_GATEWAY_IDENTITY_TARGET": "elsewhere:1", "PATH": "/bin"})
    gateway = next(plan for plan in plans if plan.name == "gateway")
    identity = next(plan for plan in plans if plan.name == "identity")
    assert gateway.environment["BIHUAN_GATEWAY_IDENTITY_TARGET"] == f"127.0.0.1:{identity.port}"
    assert gateway.environment["PATH"] == "/bin"


def test_only_identity_gets_the_peppers(tmp_path: Path) -> None:
    peppers = load_or_create(StateFolder(tmp_path).secrets).identity_peppers
    holders = [plan.name for plan in _plans(tmp_path) if peppers in plan.environment.values()]
    assert holders == ["identity"]


def test_a_stack_file_counts_only_while_its_supervisor_lives(tmp_path: Path) -> None:
    path = tmp_path / "stack.json"
    assert RunningStack.read(path) is None
    running = RunningStack(gateway_url="u", targets={}, clock="system", supervisor_pid=os.getpid())
    running.write(path)
    assert RunningStack.read(path) == running
    ended = subprocess.Popen(["true"])
    ended.wait()
    replace(running, supervisor_pid=ended.pid).write(path)
    assert RunningStack.read(path) is None


async def test_a_process_that_is_killed_is_started_again(tmp_path: Path) -> None:
    changed = asyncio.Event()
    deaths: list[tuple[str, int]] = []
    supervisor = _supervisor(tmp_path, changed, deaths)
    supervisor.start()
    try:
        first = supervisor.pids["sleeper"]
        changed.clear()
        os.kill(first, signal.SIGKILL)
        async with asyncio.timeout(10):
            await changed.wait()
        assert supervisor.pids["sleeper"] != first
        assert deaths == [("sleeper", -signal.SIGKILL)]
    finally:
        await supervisor.stop()


async def test_stop_ends_every_process(tmp_path: Path) -> None:
    supervisor = _supervisor(tmp_path, asyncio.Event(), [])
    supervisor.start()
    pid = supervisor.pids["sleeper"]
    await supervisor.stop()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def _plans(root: Path, inherited: dict[str, str] | None = None) -> list[ProcessPlan]:
    folder = StateFolder(root)
    secrets = load_or_create(folder.secrets)
    return plan_stack(folder, secrets, ENGINES, clock="system", inherited=inherited or {})


def _supervisor(root: Path, changed: asyncio.Event, deaths: list[tuple[str, int]]) -> Supervisor:
    command = (sys.executable, "-c", "import signal; signal.pause()")
    plan = ProcessPlan("sleeper", command, dict(os.environ), port=0)
    return Supervisor(
        [plan],
        log_path=lambda name: root / f"{name}.log",
        on_change=changed.set,
        on_death=lambda name, code: deaths.append((name, code)),
    )
