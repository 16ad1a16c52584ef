"""Scripts of loadtests/, run as a test runs them: as processes of their own, in a smaller size."""

import json
import subprocess
import sys
from pathlib import Path

LOADTESTS = Path(__file__).parents[2] / "loadtests"


def run_script(name: str, out: Path, *options: str) -> dict[str, object]:
    """Run a script to its end, which must be a good one, and read the figures it wrote."""
    command = [sys.executable, str(LOADTESTS / name), "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    figures: dict[str, object] = json.loads(out.read_text())
    return figures
