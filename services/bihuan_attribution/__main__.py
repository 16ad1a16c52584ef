"""`python -m bihuan_attribution` serves."""

from functools import partial

from bihuan_attribution.app import build
from bihuan_attribution.settings import AttributionSettings
from bihuan_shared.rpc.server import run


def main() -> None:
    """Serve until SIGTERM."""
    settings = AttributionSettings()
    run(partial(build, settings), settings)


if __name__ == "__main__":
    main()
