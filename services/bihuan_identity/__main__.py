"""Runs the identity server: `python -m bihuan_identity`."""

from functools import partial

from bihuan_identity.app import build
from bihuan_identity.settings import Settings
from bihuan_shared.rpc.server import run


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings()  # type: ignore[call-arg]  # the peppers come from the environment
    run(partial(build, settings), settings)


if __name__ == "__main__":
    main()
