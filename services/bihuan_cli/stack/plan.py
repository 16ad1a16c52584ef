"""Which processes make up the stack, and the environment each one gets."""

import socket
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass

from bihuan_cli.stack.layout import StateFolder
from bihuan_cli.stack.secrets import StackSecrets, sha256_hex
from bihuan_scoring.domain.model_keys import ModelSigner

GRPC_SERVICES = ("identity", "profile", "scoring", "attribution")
SERVICES = (*GRPC_SERVICES, "gateway")
_ASKING_IDENTITY = ("profile", "scoring", "attribution")
"""The services that have identity translate the person tokens of partners."""


@dataclass(frozen=True, slots=True)
class Engines:
    """Where the stores are. A database URL of None means one SQLite file a service."""

    redis_url: str
    database_url: str | None
    lake_url: str


@dataclass(frozen=True, slots=True)
class ProcessPlan:
    """One process to keep running."""

    name: str
    command: tuple[str, ...]
    environment: Mapping[str, str]
    port: int


def free_ports(count: int) -> list[int]:
    """Different TCP ports of the loopback interface that nobody listens on now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for held in sockets:
            held.bind(("127.0.0.1", 0))
        return [int(held.getsockname()[1]) for held in sockets]


def plan_stack(
    folder: StateFolder,
    secrets: StackSecrets,
    engines: Engines,
    *,
    clock: str,
    inherited: Mapping[str, str],
    gateway_port: int | None = None,
    overrides: Mapping[str, str] | None = None,
) -> list[ProcessPlan]:
    """
    Lay out the five services on free loopback ports, and make their folders.

    `inherited` is the caller's environment; of BIHUAN_* in it only telemetry and log settings pass through, so that a
    stack does what its own plan says. `overrides` are further settings for every service.
    """
    ports = dict(zip((*SERVICES, *(f"{name}-metrics" for name in GRPC_SERVICES)), free_ports(9), strict=True))
    if gateway_port is not None:
        ports["gateway"] = gateway_port
    shared = {key: value for key, value in inherited.items() if not key.startswith("BIHUAN_")} | {
        # Services batch small matrices: threads of the linear algebra libraries only wait for each other.
        "OMP_NUM_THREADS": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "BIHUAN_CLOCK": clock,
        "BIHUAN_REDIS_URL": engines.redis_url,
        "BIHUAN_LAKE_URL": engines.lake_url,
        "BIHUAN_TOKEN_KEYS": secrets.token_keys,
        "BIHUAN_CALLERS": secrets.callers_json(),
        **(overrides or {}),
    }
    targets = {name: f"127.0.0.1:{ports[name]}" for name in GRPC_SERVICES}
    for name in SERVICES:
        folder.service(name).mkdir(parents=True, exist_ok=True)
    return [
        ProcessPlan(
            name=name,
            command=(sys.executable, "-m", f"bihuan_{name}"),
            environment=shared | _own_settings(name, folder, secrets, engines, ports, targets),
            port=ports[name],
        )
        for name in SERVICES
    ]


def _own_settings(
    name: str,
    folder: StateFolder,
    secrets: StackSecrets,
    engines: Engines,
    ports: Mapping[str, int],
    targets: Mapping[str, str],
) -> dict[str, str]:
    prefix = f"BIHUAN_{name.upper()}_"
    own = {
        "LISTEN": f"127.0.0.1:{ports[name]}",
        "STATE_DIR": str(folder.service(name)),
        "DATABASE_URL": engines.database_url or f"sqlite:///{folder.service(name) / f'{name}.db'}",
    }
    if name in GRPC_SERVICES:
        own["METRICS_PORT"] = str(ports[f"{name}-metrics"])
    if name == "identity":
        own |= {
            "PEPPERS": secrets.identity_peppers,
            "PSEUDONYM_KEYS": secrets.pseudonym_keys,
            "RECEIPT_KEYS": secrets.receipt_keys,
        }
    if name in _ASKING_IDENTITY:
        own |= {"CALLER_SECRET": getattr(secrets, f"{name}_secret"), "IDENTITY_TARGET": targets["identity"]}
    if name == "scoring":
        public_keys = ModelSigner.parse(secrets.model_keys).public_keys()
        own |= {"PROFILE_TARGET": targets["profile"], "MODEL_PUBLIC_KEYS": public_keys}
        own["REACH_SECRET"] = secrets.reach_secret
    if name == "gateway":
        own |= {
            "CALLER_SECRET": secrets.gateway_secret,
            "ADMIN_KEY_SHA256": sha256_hex(secrets.admin_key),
            "PUBLIC_URL": f"http://127.0.0.1:{ports['gateway']}",
            "WEBHOOK_SECRETS": secrets.webhook_secrets,
            # Everything of a local stack is on this machine, and so may be who receives its leads.
            "WEBHOOK_ALLOW_LOOPBACK": "true",
        }
        own |= {f"{target.upper()}_TARGET": address for target, address in targets.items()}
    return {f"{prefix}{key}": value for key, value in own.items()}
