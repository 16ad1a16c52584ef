"""A service in a process of its own, for tests: `serving_process.py <port file> <fail|serve>`."""

import asyncio
import sys
from pathlib import Path
from typing import Any

from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.rpc.server import ServiceApp, run
from bihuan_shared.settings import ServerSettings


def say(word: str) -> None:
    """Tells the test what has happened."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


# The stubs call servicers abstract, although what is not overridden answers NOT_YET.
_Servicer: Any = identity_pb2_grpc.IdentityServiceServicer


class Identity(_Servicer):  # type: ignore[misc]  # as above
    """Answers once the test says so."""

    async def Resolve(self, request: object, context: object) -> identity_pb2.ResolveResponse:  # noqa: N802  # the contract's name
        say("entered")
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
        return identity_pb2.ResolveResponse(result=identity_pb2.ResolveResult(person_id=7))


async def ready() -> bool:
    return True


async def fail() -> None:
    raise RuntimeError("the consumer broke")


async def close() -> None:
    say("closed")


async def build() -> ServiceApp:
    background = [("consumer", fail)] if sys.argv[2] == "fail" else []
    add = identity_pb2_grpc.add_IdentityServiceServicer_to_server
    registration = (Identity(), add, "bihuan.identity.v1.IdentityService")
    return ServiceApp("identity", [registration], ready, background, close)


if __name__ == "__main__":
    run(
        build,
        ServerSettings(
            port_file=Path(sys.argv[1]),
            callers=(Credential("test", Role.INTERNAL, secret_sha256("internal-secret")),),
        ),
    )
