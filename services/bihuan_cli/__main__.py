"""Entry point of the `bihuan` command."""

import os

# Read by the linear algebra libraries when they are loaded: their threads would fight the services for the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from bihuan_cli.app import app


def main() -> None:
    """Run the command line."""
    app(prog_name="bihuan")


if __name__ == "__main__":
    main()
