"""Sending webhooks over real sockets: to where it is allowed, and not a byte anywhere else."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult

from bihuan_gateway.control import webhook_client
from bihuan_gateway.control.lead_ports import Reply
from bihuan_gateway.control.webhook_client import AddressRefusedError, WebhookClient, guarded_socket
from bihuan_gateway.control.webhook_target import is_public

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Receiver:
    """A receiver on this machine; `connections` counts what reached it at all."""

    port: int = 0
    answer: Handler | None = None
    requests: list[tuple[bytes, dict[str, str]]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.requests.append((await request.read(), {name.lower(): one for name, one in request.headers.items()}))
        return await self.answer(request) if self.answer is not None else web.Response(text="thanks")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", receiver.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    receiver.port = runner.addresses[0][1]
    yield receiver
    await runner.cleanup()


@pytest.fixture
async def client() -> AsyncIterator[WebhookClient]:
    client = WebhookClient(allow_loopback=True, timeout_s=2.0)
    yield client
    await client.close()


class Names(AbstractResolver):
    """Every name leads to the next of some addresses, the last one for ever."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.asked: list[str] = []

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        self.asked.append(host)
        address = self.addresses.pop(0) if len(self.addresses) > 1 else self.addresses[0]
        kind = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=0)]

    async def close(self) -> None:
        """Nothing is open."""


async def test_a_webhook_reaches_its_receiver_as_it_was_signed(client: WebhookClient, receiver: Receiver) -> None:
    reply = await client.post(receiver.url, b'{"a":1}', {"bihuan-delivery": "lead-1/1"})
    assert (reply, reply.is_taken) == (Reply("", 200), True)
    ((body, headers),) = receiver.requests
    assert (body, headers["bihuan-delivery"]) == (b'{"a":1}', "lead-1/1")


async def test_this_machine_is_reached_only_where_that_is_allowed(receiver: Receiver) -> None:
    careful = WebhookClient()
    assert await careful.post(receiver.url, b"", {}) == Reply("refused_url")
    await careful.close()
    assert receiver.requests == []


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "10.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "::ffff:127.0.0.1", "fe80::1", "64:ff9b::7f00:1"],  # noqa: S104
)
async def test_a_name_that_leads_inside_is_not_followed(receiver: Receiver, address: str) -> None:
    names = Names(address)
    client = WebhookClient(allow_loopback=True, timeout_s=2.0, resolver=names)
    assert await client.post("https://crm.example.com/hook", b"", {}) == Reply("refused_address")
    await client.close()
    assert names.asked == ["crm.example.com"]


async def test_a_name_that_changes_its_meaning_is_judged_at_each_connection(
    receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    # One address of this machine stands for the Internet, so that nothing leaves it.
    monkeypatch.setattr(webhook_client, "is_public", lambda address: address == "127.0.0.2")
    names = Names("127.0.0.2", "127.0.0.1")
    client = WebhookClient(allow_loopback=True, timeout_s=2.0, resolver=names)
    first = await client.post("https://crm.example.com/hook", b"", {})
    second = await client.post("https://crm.example.com/hook", b"", {})
    await client.close()
    assert first == Reply("unreachable")
    assert (second, receiver.requests) == (Reply("refused_address"), [])
    assert names.asked == ["crm.example.com"] * 2


async def test_an_http_name_of_this_machine_does_not_lead_elsewhere() -> None:
    client = WebhookClient(allow_loopback=True, timeout_s=2.0, resolver=Names("8.8.8.8"))
    assert await client.post("http://localhost:80/hook", b"", {}) == Reply("refused_address")
    await client.close()


def test_the_socket_is_opened_for_the_very_address_that_was_judged() -> None:
    guard = guarded_socket(is_public)
    with pytest.raises(AddressRefusedError):
        guard((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("169.254.169.254", 443)))
    with guard((socket.AF_INET, socket.SOCK_STREAM, 0, "", ("8.8.8.8", 443))) as opened:
        assert opened.family == socket.AF_INET


async def test_a_redirect_is_an_answer_and_not_followed(client: WebhookClient, receiver: Receiver) -> None:
    async def away(_: web.Request) -> web.Response:
        raise web.HTTPTemporaryRedirect("http://169.254.169.254/")

    receiver.answer = away
    reply = await client.post(receiver.url, b"", {})
    assert (reply.status, reply.is_taken, len(receiver.requests)) == (307, False, 1)


async def test_an_endless_answer_is_not_read(client: WebhookClient, receiver: Receiver) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        while True:
            await response.write(b"x" * 65_536)

    receiver.answer = endless
    async with asyncio.timeout(1):
        assert (await client.post(receiver.url, b"", {})).is_taken


async def test_a_receiver_that_never_answers_is_given_up(receiver: Receiver) -> None:
    async def silent(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    receiver.answer = silent
    client = WebhookClient(allow_loopback=True, timeout_s=0.2)
    assert await client.post(receiver.url, b"", {}) == Reply("timeout")
    await client.close()


async def test_heads_without_end_and_garbage_are_no_answers(client: WebhookClient) -> None:
    async def noise(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nx-filler: " + b"y" * 1_000_000)
        writer.close()

    server = await asyncio.start_server(noise, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    assert await client.post(f"http://127.0.0.1:{port}/", b"", {}) == Reply("unreachable")
    server.close()
    await server.wait_closed()
    assert await client.post(f"http://127.0.0.1:{port}/", b"", {}) == Reply("unreachable")


@pytest.mark.parametrize(("said", "seconds"), [("7", 7.0), ("999999", 3_600.0), ("Wed, 21 Oct 2015", 0.0), ("-1", 0.0)])
async def test_a_receiver_may_ask_to_be_left_alone(
    client: WebhookClient, receiver: Receiver, said: str, seconds: float
) -> None:
    async def busy(_: web.Request) -> web.Response:
        return web.Response(status=503, headers={"retry-after": said})

    receiver.answer = busy
    assert await client.post(receiver.url, b"", {}) == Reply("", 503, seconds)


async def test_no_cookie_is_kept(client: WebhookClient, receiver: Receiver) -> None:
    async def marking(_: web.Request) -> web.Response:
        response = web.Response()
        response.set_cookie("session", "1")
        return response

    receiver.answer = marking
    for _ in range(2):
        await client.post(receiver.url, b"", {})
    assert all("cookie" not in headers for _, headers in receiver.requests)
