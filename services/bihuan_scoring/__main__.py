"""`python -m bihuan_scoring`: the scoring service."""

from bihuan_scoring.app import build
from bihuan_scoring.settings import Settings
from bihuan_shared.rpc.server import run


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings()
    run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
