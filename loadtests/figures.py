"""What every measurement says besides its figures, and how it is written."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path


def machine() -> str:
    """Architecture and cores."""
    return f"{platform.machine()}, {os.cpu_count()} cores"


def commit() -> str:
    """The short hash of what is checked out, or `unknown`."""
    found = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)  # noqa: S607
    return found.stdout.strip() or "unknown"


def write(out: Path, figures: Mapping[str, object]) -> None:
    """Write the figures as JSON, and print them."""
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(figures, indent=2))
    sys.stdout.write(out.read_text() + "\n")
