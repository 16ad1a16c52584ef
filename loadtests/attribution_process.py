"""The real attribution server as a process that starts in a tenth of a second and may die at any moment."""

import base64
from collections.abc import Mapping
from pathlib import Path

from service_process import ServiceForks, ServiceProcess, load_caller

from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceStub
from bihuan_shared.tokens import KeyRing

TOKEN_KEYS = f"k1:{base64.b64encode(bytes(range(32))).decode()}"
KEYS = KeyRing.parse(TOKEN_KEYS)


def attribution_environment(state: Path, database_url: str, redis_url: str, **settings: str) -> Mapping[str, str]:
    """The settings of an attribution server on these stores."""
    return {
        "BIHUAN_STATE_DIR": str(state),
        "BIHUAN_CALLERS": load_caller(),
        "BIHUAN_TOKEN_KEYS": TOKEN_KEYS,
        "BIHUAN_ATTRIBUTION_DATABASE_URL": database_url,
        "BIHUAN_REDIS_URL": redis_url,
        "BIHUAN_LAKE_URL": str(state / "lake"),
        "BIHUAN_LOG_LEVEL": "ERROR",
    } | settings


class AttributionForks(ServiceForks):
    """Where attribution servers are forked from."""

    def __init__(self) -> None:
        super().__init__("attribution")


class AttributionProcess(ServiceProcess[AttributionServiceStub]):
    """One life of an attribution server."""

    stub_type = AttributionServiceStub
