"""From events to the sales webhook: a real attribution, a real gateway process, a real receiver."""

import asyncio
import hashlib
import hmac
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest
from aiohttp import web
from pydantic import SecretStr

from bihuan.attribution.v1 import attribution_pb2, attribution_pb2_grpc, event_pb2, lead_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.app import build
from bihuan_attribution.settings import AttributionSettings
from bihuan_shared.callers import Credential, Role, secret_sha256
from bihuan_shared.clock import clock_from
from bihuan_shared.rpc.client import open_channel
from bihuan_shared.rpc.server import start_server

KEY, SECRET, RING = "process-key", "gateway-secret", "k1:" + "A" * 43
MASTER = "a-secret-of-the-gateway-that-is-long-enough"
PATIENCE_S = 30.0


@dataclass
class Receiver:
    """Sales: answers with the statuses given, then with 200."""

    statuses: list[int] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    signatures: list[str] = field(default_factory=list)
    port: int = 0

    async def serve(self, request: web.Request) -> web.Response:
        self.bodies.append(await request.read())
        self.names.append(request.headers["bihuan-delivery"])
        self.signatures.append(request.headers["bihuan-signature"])
        return web.Response(status=self.statuses.pop(0) if self.statuses else 200)


@dataclass
class Attribution:
    stub: "attribution_pb2_grpc.AttributionServiceAsyncStub"
    target: str

    async def happen(self) -> None:
        """Something that reaches the threshold of the rules that the gateway told."""
        event = event_pb2.Event(event_type=common_pb2.EVENT_TYPE_LEAD, event_id="acme/l1")
        event.action.advertiser_id, event.action.name, event.action.reference = "acme", "form_submit", "crm-17"
        event.person.person_id = 987_654_321
        event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
        await self.stub.RecordEvents(attribution_pb2.RecordEventsRequest(events=[event]))

    async def due(self) -> int:
        return len((await self.stub.ListLeads(lead_pb2.ListLeadsRequest(due_only=True))).leads)


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_post("/hook", receiver.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def attribution(redis_url: str, tmp_path: Path) -> AsyncIterator[Attribution]:
    settings = AttributionSettings(
        redis_url=redis_url,
        state_dir=tmp_path / "attribution",
        token_keys=SecretStr(RING),
        callers=(Credential("gateway", Role.INTERNAL, secret_sha256(SECRET)),),
    )
    async with AsyncExitStack() as stack:
        server = await start_server(await build(settings), settings, clock_from("system"))
        stack.push_async_callback(server.stop, 0)
        target = f"127.0.0.1:{server.port}"
        channel = open_channel(target, secret=SECRET, service="attribution")
        stack.push_async_callback(channel.close)
        yield Attribution(attribution_pb2_grpc.AttributionServiceStub(channel), target)


@asynccontextmanager
async def gateway(
    folder: Path, attribution: Attribution, **more: str
) -> AsyncIterator[tuple[httpx.AsyncClient, asyncio.subprocess.Process]]:
    port_file = folder / "port"
    port_file.unlink(missing_ok=True)
    environment = {
        **os.environ,
        "BIHUAN_STATE_DIR": str(folder),
        "BIHUAN_GATEWAY_LISTEN": "127.0.0.1:0",
        "BIHUAN_GATEWAY_PORT_FILE": str(port_file),
        "BIHUAN_GATEWAY_ADMIN_KEY_SHA256": hashlib.sha256(KEY.encode()).hexdigest(),
        "BIHUAN_GATEWAY_CALLER_SECRET": SECRET,
        "BIHUAN_GATEWAY_ATTRIBUTION_TARGET": attribution.target,
        "BIHUAN_GATEWAY_WEBHOOK_SECRETS": MASTER,
        "BIHUAN_GATEWAY_WEBHOOK_ALLOW_LOOPBACK": "true",
        "BIHUAN_GATEWAY_LEADS_POLL_S": "0.1",
        "BIHUAN_TOKEN_KEYS": RING,
        **more,
    }
    with (folder / "log").open("ab") as log:
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "bihuan_gateway", env=environment, stderr=log
        )
    try:
        await until(lambda: port_file.exists() or process.returncode is not None)
        assert port_file.exists(), (folder / "log").read_text()
        url = f"http://127.0.0.1:{int(port_file.read_text())}"
        async with httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {KEY}"}) as client:
            yield client, process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(done: "object") -> None:
    deadline = time.monotonic() + PATIENCE_S
    assert callable(done)
    while not done():
        assert time.monotonic() < deadline, "it did not happen"
        await asyncio.sleep(0.02)


async def advertise(client: httpx.AsyncClient, receiver: Receiver) -> str:
    """The secret that deliveries are signed with."""
    leads = {
        "threshold": 20,
        "points": [{"action": "form_submit", "points": 20}],
        "webhook_url": f"http://127.0.0.1:{receiver.port}/hook",
    }
    made = await client.post(
        "/v1/advertisers", json={"id": "acme", "display_name": "A", "currency": "USD", "leads": leads}
    )
    assert made.status_code == 201, made.text
    secret: str = (await client.get("/v1/advertisers/acme/webhook-secret")).json()["secrets"][0]
    return secret


async def acknowledged(attribution: Attribution) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while await attribution.due():
        assert time.monotonic() < deadline, "the lead is still due"
        await asyncio.sleep(0.02)


async def test_a_receiver_that_fails_twice_is_told_a_third_time_and_then_no_more(
    tmp_path: Path, attribution: Attribution, receiver: Receiver
) -> None:
    receiver.statuses = [503, 500]
    async with gateway(tmp_path, attribution) as (client, _):
        secret = await advertise(client, receiver)
        await attribution.happen()
        await until(lambda: len(receiver.bodies) == 3)
        await acknowledged(attribution)
        await asyncio.sleep(0.5)
    assert len(receiver.bodies) == 3
    assert len(set(receiver.names)) == 1
    body, header = receiver.bodies[-1], receiver.signatures[-1]
    timestamp, _, digest = header.removeprefix("t=").partition(",v1=")
    assert digest == hmac.new(secret.encode(), timestamp.encode() + b"." + body, "sha256").hexdigest()
    assert b'"references":["crm-17"]' in body
    assert b"987654321" not in body
    log = (tmp_path / "log").read_text()
    assert not [one for one in (secret, MASTER, "987654321", "crm-17") if one in log]


async def test_a_gateway_killed_before_it_acknowledges_delivers_again_under_the_same_name(
    tmp_path: Path, attribution: Attribution, receiver: Receiver
) -> None:
    async with gateway(tmp_path, attribution, BIHUAN_FAILPOINT="lead_delivered:1") as (client, process):
        await advertise(client, receiver)
        await attribution.happen()
        await asyncio.wait_for(process.wait(), PATIENCE_S)
    assert (len(receiver.bodies), await attribution.due()) == (1, 1)
    # The turn of the one that died has to end first.
    async with gateway(tmp_path, attribution):
        await until(lambda: len(receiver.bodies) == 2)
        await acknowledged(attribution)
    assert receiver.names[0] == receiver.names[1]
    assert receiver.bodies[0] == receiver.bodies[1]
