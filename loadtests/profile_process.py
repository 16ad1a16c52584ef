"""The real profile server as a process that starts in a tenth of a second."""

from pathlib import Path

from service_process import ServiceForks, ServiceProcess, load_caller

from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub

__all__ = ["ProfileForks", "ProfileProcess", "profile_environment"]


def profile_environment(state: Path, redis_url: str, *, clock: str = "system", look_over_s: int = 1) -> dict[str, str]:
    """The settings of a profile server on this store, which looks over everyone every `look_over_s` seconds."""
    return {
        "BIHUAN_STATE_DIR": str(state),
        "BIHUAN_CALLERS": load_caller(),
        "BIHUAN_REDIS_URL": redis_url,
        "BIHUAN_LAKE_URL": str(state / "lake"),
        "BIHUAN_CLOCK": clock,
        "BIHUAN_PROFILE_CONSUME": "false",
        "BIHUAN_PROFILE_POPULATION_INTERVAL_S": str(look_over_s),
        "BIHUAN_LOG_LEVEL": "ERROR",
    }


class ProfileForks(ServiceForks):
    """Where profile servers are forked from."""

    def __init__(self) -> None:
        super().__init__("profile")


class ProfileProcess(ServiceProcess[ProfileServiceStub]):
    """One life of a profile server."""

    stub_type = ProfileServiceStub
