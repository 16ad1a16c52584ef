"""The real identity server as a process that starts in a tenth of a second and may die at any moment."""

import base64
from pathlib import Path

from service_process import DiedError, ServiceForks, ServiceProcess, load_caller

from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub

__all__ = ["DiedError", "IdentityForks", "IdentityProcess", "identity_environment"]

_KEY = base64.b64encode(bytes(range(32))).decode()


def identity_environment(state: Path, database_url: str, redis_url: str | None) -> dict[str, str]:
    """The settings of an identity server on these stores."""
    environment = {
        "BIHUAN_STATE_DIR": str(state),
        "BIHUAN_CALLERS": load_caller(),
        "BIHUAN_IDENTITY_DATABASE_URL": database_url,
        "BIHUAN_IDENTITY_PEPPERS": f"1:{_KEY}",
        "BIHUAN_IDENTITY_PSEUDONYM_KEYS": f"1@1970-01-01T00:00:00Z:{_KEY}",
        "BIHUAN_IDENTITY_RECEIPT_KEYS": f"1:{_KEY}",
        "BIHUAN_IDENTITY_INDEX_TIMEOUT_MS": "5000",
        "BIHUAN_LOG_LEVEL": "ERROR",
    }
    return environment | ({"BIHUAN_REDIS_URL": redis_url} if redis_url else {})


class IdentityForks(ServiceForks):
    """Where identity servers are forked from."""

    def __init__(self) -> None:
        super().__init__("identity")


class IdentityProcess(ServiceProcess[IdentityServiceStub]):
    """One life of an identity server."""

    stub_type = IdentityServiceStub
