"""Sending webhooks: every connection is judged by the address that it goes to."""

import asyncio
import socket
from collections.abc import Callable, Mapping
from typing import Final

import aiohttp
from aiohttp.abc import AbstractResolver
from aiohttp.typedefs import LooseHeaders

from bihuan_gateway.control.lead_ports import Reply
from bihuan_gateway.control.webhook_target import checked_url, is_development, is_loopback, is_public

AT_ONCE: Final = 64
_MOST_RETRY_AFTER_S: Final = 3_600


class WebhookClient:
    """
    Posts to webhooks; implements `lead_ports.Webhooks`.

    Redirects are not followed, no proxy and no cookie is used, and of an answer only the status and `Retry-After` are
    read. `allow_loopback` lets http URLs of this machine through; `resolver` looks names up (the system's own where
    absent). Close it in the event loop in which it was used.
    """

    def __init__(
        self, *, allow_loopback: bool = False, timeout_s: float = 10.0, resolver: AbstractResolver | None = None
    ) -> None:
        self._allow_loopback = allow_loopback
        self._timeout = aiohttp.ClientTimeout(total=timeout_s)
        self._resolver = resolver
        self._sessions: dict[bool, aiohttp.ClientSession] = {}

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send one webhook; what fails is told and not raised."""
        try:
            checked_url(url)
        except ValueError:
            return Reply("refused_url")
        development = is_development(url)
        if development and not self._allow_loopback:
            return Reply("refused_url")
        named: LooseHeaders = dict(headers)
        try:
            async with self._session(development).post(url, data=body, headers=named, allow_redirects=False) as answer:
                reply = Reply("", answer.status, _retry_after_s(answer.headers.get("retry-after", "")))
                # What follows the head is nobody's business: it could be endless.
                answer.close()
                return reply
        except TimeoutError:
            return Reply("timeout")
        except (aiohttp.ClientError, OSError, ValueError) as error:
            return Reply("refused_address" if _is_refused(error) else "unreachable")

    async def close(self) -> None:
        """Close every connection."""
        await asyncio.gather(*(session.close() for session in self._sessions.values()))

    def _session(self, development: bool) -> aiohttp.ClientSession:  # noqa: FBT001 - the key of the session
        session = self._sessions.get(development)
        if session is None:
            connector = aiohttp.TCPConnector(
                limit=AT_ONCE,
                use_dns_cache=False,
                force_close=True,
                resolver=self._resolver,
                socket_factory=guarded_socket(is_loopback if development else is_public),
            )
            session = aiohttp.ClientSession(
                connector=connector, timeout=self._timeout, cookie_jar=aiohttp.DummyCookieJar(), trust_env=False
            )
            self._sessions[development] = session
        return session


class AddressRefusedError(OSError):
    """A name led to an address that webhooks may not reach."""


def guarded_socket(allowed: Callable[[str], bool]) -> Callable[[aiohttp.AddrInfoType], socket.socket]:
    """
    Make what opens the socket of each connection: for the very address that will be connected to, if it is allowed.

    Nothing is looked up in between, so a name cannot change its meaning after it was judged.
    """

    def open_socket(info: aiohttp.AddrInfoType) -> socket.socket:
        family, kind, protocol, _, address = info
        if not allowed(str(address[0])):
            raise AddressRefusedError("the address is not one that webhooks may reach")
        return socket.socket(family, kind, protocol)

    return open_socket


def _is_refused(error: BaseException) -> bool:
    inner = error.os_error if isinstance(error, aiohttp.ClientConnectorError) else error
    return isinstance(inner, AddressRefusedError)


def _retry_after_s(text: str) -> float:
    """Read how many seconds a receiver asks for; 0 where it says nothing, or a date."""
    return float(min(int(text), _MOST_RETRY_AFTER_S)) if text.isascii() and text.isdigit() and len(text) < 10 else 0.0  # noqa: PLR2004
