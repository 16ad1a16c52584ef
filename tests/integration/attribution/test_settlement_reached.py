"""Settlement through the gateway by HTTP, and by the command line."""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from bihuan_cli.app import app
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create, sha256_hex
from bihuan_gateway.server import serve as serve_gateway
from bihuan_gateway.settings import Settings
from tests.integration.attribution.conftest import KEY
from tests.integration.attribution.test_service import CALL_S
from tests.integration.attribution.test_settlement_served import MONTH, PIA, a_month

if TYPE_CHECKING:
    from tests.integration.attribution.conftest import Served


@dataclass(frozen=True)
class Said:
    """How a command ended, and what it said."""

    exit_code: int
    output: str


@dataclass
class Whole:
    """Attribution behind a gateway, and a state folder that the command line finds them by."""

    served: "Served"
    state: Path
    url: str
    admin_key: str

    def client(self, key: str = "") -> httpx.AsyncClient:
        headers = {"authorization": f"Bearer {key or self.admin_key}"}
        return httpx.AsyncClient(base_url=self.url, headers=headers, timeout=CALL_S)

    async def bihuan(self, *words: str) -> Said:
        """Run `bihuan ledger …` in a thread of its own, because it brings its own loop."""
        command = ["ledger", *words, "--state", str(self.state)]
        result = await asyncio.to_thread(CliRunner().invoke, app, command)
        # The gateway of this process logs meanwhile.
        lines = [line for line in result.output.splitlines() if "[info " not in line]
        return Said(result.exit_code, "\n".join(lines))


@pytest.fixture
async def whole(served: "Served", redis_url: str, tmp_path: Path) -> AsyncIterator[Whole]:
    folder = StateFolder(tmp_path / "cli")
    folder.root.mkdir()
    secrets = load_or_create(folder.secrets)
    port_file = tmp_path / "gateway-port"
    settings = Settings(
        state_dir=tmp_path / "gateway",
        listen="127.0.0.1:0",
        port_file=port_file,
        redis_url=redis_url,
        token_keys=SecretStr(KEY),
        admin_key_sha256=sha256_hex(secrets.admin_key),
        attribution_target=f"127.0.0.1:{served.server.port}",
        caller_secret=SecretStr("s"),
        terms_wait_s=0.05,
    )
    stop = asyncio.Event()
    serving = asyncio.create_task(serve_gateway(settings, stop))
    while not port_file.exists() and not serving.done():
        await asyncio.sleep(0.02)
    url = f"http://127.0.0.1:{port_file.read_text().strip()}"
    RunningStack(url, {}, "system", os.getpid()).write(folder.stack)
    yield Whole(served, folder.root, url, secrets.admin_key)
    stop.set()
    assert await serving is False


async def _key(admin: httpx.AsyncClient, advertiser_id: str) -> str:
    made = await admin.post("/v1/advertisers", json={"id": advertiser_id, "display_name": "A", "currency": "CNY"})
    assert made.status_code == 201, made.text
    key = await admin.post("/v1/api-keys", json={"role": "advertiser", "advertiser_id": advertiser_id})
    return str(key.json()["secret"])


async def test_tenants_meet_nothing_of_each_other_over_http(whole: Whole) -> None:
    await a_month(whole.served)
    async with whole.client() as admin:
        keys = {name: await _key(admin, name) for name in ("acme", "rival")}
        closed = await admin.post(f"/v1/periods/{MONTH}/close")
        assert closed.status_code == 200, closed.text
        entries: list[dict[str, Any]] = (await admin.get("/v1/ledger/entries")).json()["entries"]
        pay = {"account": PIA, "amount_micros": 1, "currency": "CNY"}
        paid = await admin.post("/v1/payouts", json=pay, headers={"idempotency-key": "p1"})
        assert paid.status_code == 201, paid.text
        beyond = await admin.post("/v1/payouts", json=pay | {"amount_micros": 10**9}, headers={"idempotency-key": "p2"})
        assert (beyond.status_code, beyond.headers["content-type"]) == (409, "application/problem+json")
    for name, key in keys.items():
        async with whole.client(key) as tenant:
            invoices = (await tenant.get("/v1/invoices")).json()["invoices"]
            assert [one["invoice_id"] for one in invoices] == [f"{name}/{MONTH}"]
            for entry in entries:
                answer = await tenant.get(f"/v1/ledger/entries/{entry['entry_id']}/trace")
                assert answer.status_code == (200 if entry["advertiser_id"] == name else 404)
                if answer.status_code == 200:
                    assert answer.json()["gaps"] == []
                    assert not [one for one in answer.json()["events"] if one["token"]]
            refused = await tenant.post("/v1/payouts", json=pay, headers={"idempotency-key": "p3"})
            assert refused.status_code == 403
            assert (await tenant.get("/v1/ledger/verification")).status_code == 403


async def test_the_command_line_closes_pays_proves_and_traces(whole: Whole) -> None:
    await a_month(whole.served)
    closed = await whole.bihuan("close", MONTH)
    assert closed.exit_code == 0, closed.output
    assert f"{MONTH} was closed" in closed.output
    invoices = await whole.bihuan("invoices", "--advertiser", "acme", "--json")
    assert [one["total_nanos"] for one in json.loads(invoices.output)] == [4_510_000_000]
    assert "4.51" in (await whole.bihuan("invoices")).output
    for _ in range(2):
        paid = await whole.bihuan("payout", PIA, "1000000", "CNY", "--id", "p1")
        assert paid.exit_code == 0, paid.output
    beyond = await whole.bihuan("payout", PIA, "1000000", "CNY", "--id", "p2")
    assert (beyond.exit_code, "payable" in beyond.output) == (1, True)
    proved = await whole.bihuan("verify")
    assert (proved.exit_code, "no fault" in proved.output) == (0, True)
    proof = json.loads((await whole.bihuan("verify", "--json")).output)
    for entry_id in range(1, proof["entry_count"] + 1):
        traced = await whole.bihuan("trace", str(entry_id), "--json")
        assert (traced.exit_code, json.loads(traced.output)["gaps"]) == (0, [])
    tree = (await whole.bihuan("trace", "3")).output
    assert "token verified" in tree
    assert "decision d-" in tree


async def test_the_command_line_names_a_row_that_was_edited(whole: Whole, tmp_path: Path) -> None:
    await a_month(whole.served)
    path = tmp_path / "attribution" / "attribution.db"
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE postings SET amount_nanos = amount_nanos * 2 WHERE entry_id = 2")
    connection.close()
    proved = await whole.bihuan("verify")
    assert proved.exit_code == 1
    assert "hash_chain" in proved.output
    faults = json.loads((await whole.bihuan("verify", "--json")).output)["faults"]
    assert {"hash_chain", "price", "account_balance"} <= {one["invariant"] for one in faults}
    assert {one["entry_id"] for one in faults if one["invariant"] == "hash_chain"} == {2}
