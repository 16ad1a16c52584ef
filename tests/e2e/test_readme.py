"""The README's loop in five curls, run as it stands there."""

import json
import os
import subprocess
from pathlib import Path

import pytest
from loop_stack import SpanCollector, start_stack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]
README = Path(__file__).parents[2] / "README.md"


def test_the_five_curls_close_the_loop(tmp_path: Path, spans: SpanCollector) -> None:
    block = README.read_text().split("```bash\n", 1)[1].split("```", 1)[0]
    commands = "\n".join(line for line in block.splitlines() if not line.startswith("export GATEWAY"))
    stack = start_stack(tmp_path / "state", spans, {})
    try:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=tmp_path,
            env=os.environ | {"GATEWAY": stack.url, "KEY": stack.secrets.admin_key},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        report, books = (json.loads(line) for line in done.stdout.strip().splitlines()[-2:])
        (row,) = report["rows"]
        assert (row["campaign"], row["impressions"], row["clicks"], row["orders"]) == ("spring", 1, 1, 1)
        assert row["spend_micros"] > 0
        assert [item["difference_nanos"] for item in books["currencies"]] == [0]
        assert "302" in done.stdout
    finally:
        assert stack.stop() == 0
