"""Runs the gateway: `python -m bihuan_gateway`."""

from bihuan_gateway.server import run
from bihuan_gateway.settings import Settings

if __name__ == "__main__":
    run(Settings())
