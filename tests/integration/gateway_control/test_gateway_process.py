"""The gateway as a process: it binds, says where, serves, keeps its state, drains."""

import base64
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

KEY = "process-key"


@contextmanager
def gateway(folder: Path, **environment: str) -> Iterator[tuple[httpx.Client, "subprocess.Popen[bytes]"]]:
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "BIHUAN_STATE_DIR": str(folder),
        "BIHUAN_GATEWAY_LISTEN": "127.0.0.1:0",
        "BIHUAN_GATEWAY_PORT_FILE": str(port_file),
        "BIHUAN_GATEWAY_ADMIN_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
        "BIHUAN_GATEWAY_TERMS_WAIT_S": "0.05",
        "BIHUAN_TOKEN_KEYS": "k1:" + base64.b64encode(bytes(32)).decode(),
        "BIHUAN_GATEWAY_ATTRIBUTION_TARGET": "127.0.0.1:1",
        **environment,
    }
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen([sys.executable, "-m", "bihuan_gateway"], env=environment, stderr=log)
    try:
        end = time.monotonic() + 30
        while not port_file.exists() and process.poll() is None and time.monotonic() < end:
            time.sleep(0.02)
        assert port_file.exists(), (folder / "log").read_text()
        headers = {"authorization": f"Bearer {KEY}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{int(port_file.read_text())}", headers=headers) as client:
            yield client, process
    finally:
        process.kill()
        process.wait()


def stopped(process: "subprocess.Popen[bytes]") -> int:
    process.send_signal(signal.SIGTERM)
    return process.wait(20)


def test_process_serves_keeps_its_state_and_drains_on_sigterm(tmp_path: Path) -> None:
    with gateway(tmp_path) as (client, process):
        assert client.get("/readyz").status_code == 200
        made = client.post("/v1/advertisers", json={"id": "acme", "display_name": "A", "currency": "USD"})
        assert made.status_code == 201, made.text
        campaign = {
            "id": "c1",
            "advertiser_id": "acme",
            "display_name": "C",
            "pricing": {"model": "cpc", "bid_micros": 5},
        }
        created = client.post("/v1/campaigns", json=campaign, headers={"idempotency-key": "k"})
        assert created.status_code == 201
        assert created.json()["terms_acked"] is False
        assert stopped(process) == 0
    with gateway(tmp_path) as (client, process):
        assert client.get("/v1/campaigns/c1").json()["display_name"] == "C"
        assert client.post("/v1/campaigns", json=campaign, headers={"idempotency-key": "k"}).status_code == 201
        document = client.get("/openapi.json").json()
        assert {"/v1/campaigns", "/v1/decisions"} <= set(document["paths"])
        assert client.get("/t/i/no-token").status_code == 200
        assert client.post("/v1/decisions", json={}).status_code == 400
        assert client.post("/v1/decisions", json={}, headers={"authorization": ""}).status_code == 401
        assert stopped(process) == 0
    log = (tmp_path / "log").read_text()
    assert KEY not in log
    lines = [json.loads(line) for line in log.splitlines()]
    assert "no-token" not in log
    routes = {line.get("route") for line in lines}
    # What goes well on the hot routes is only counted.
    assert "/v1/decisions" in routes
    assert "/t/i/{token}" not in routes
    assert any(line.get("route") == "/v1/campaigns" and line["status"] == 201 for line in lines)


def test_process_that_cannot_start_exits_with_a_failure(tmp_path: Path) -> None:
    environment = {**os.environ, "BIHUAN_STATE_DIR": str(tmp_path), "BIHUAN_GATEWAY_LISTEN": "127.0.0.1:0"}
    environment["BIHUAN_GATEWAY_DATABASE_URL"] = "postgresql+psycopg://nobody@127.0.0.1:1/none"
    done = subprocess.run([sys.executable, "-m", "bihuan_gateway"], env=environment, timeout=60, check=False)
    assert done.returncode == 1
