"""`python -m bihuan_profile`: the profile service."""

from bihuan_profile.app import build
from bihuan_profile.settings import Settings
from bihuan_shared.rpc.server import run


def main() -> None:
    """Serve until SIGTERM."""
    settings = Settings()
    run(lambda: build(settings), settings)


if __name__ == "__main__":
    main()
