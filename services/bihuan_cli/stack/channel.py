"""Calling a service of the stack that runs."""

from pathlib import Path

import grpc.aio

from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.rpc.client import open_channel


def service_channel(state: Path, service: str) -> grpc.aio.Channel:
    """A channel to a service of the stack that runs on a state folder. Raises FailedPrecondition where none runs."""
    folder = StateFolder(state.resolve())
    running = RunningStack.read(folder.stack)
    if running is None:
        raise FailedPrecondition(f"no stack runs on {state}; start one with `bihuan up`")
    secret = load_or_create(folder.secrets).cli_secret
    return open_channel(running.targets[service], secret=secret, service=service)
