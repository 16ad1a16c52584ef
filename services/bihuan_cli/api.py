"""The gateway as a client sees it: typed answers, deadlines, and retries of what may be repeated."""

import asyncio
import random
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec

from bihuan_shared.clock import REPLAY_TIME_KEY, format_rfc3339
from bihuan_shared.errors import BihuanError, Internal, InvalidArgument, Unavailable

CALL_TIMEOUT_S = 30.0
RETRY_FOR_S = 60.0
FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 2.0
RETRIED_STATUS = frozenset({429, 503})
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
"""What a visitor of a replay is taken for: the name of an HTTP library would be that of a robot."""

_T = TypeVar("_T")


class Problem(msgspec.Struct):
    """What an error answer says (RFC 9457)."""

    title: str = ""
    status: int = 0
    detail: str = ""
    errors: list[dict[str, str]] = []


class GatewayClient:
    """
    One caller of the gateway, with one API key and a bounded pool of connections.

    Calls are repeated on 429, 503 and lost connections for up to RETRY_FOR_S: every write of this interface is
    idempotent by its ids. With a replay clock, `time_us` is the time that a call happens at.
    """

    def __init__(self, url: str, key: str, *, connections: int = 64, timeout_s: float = CALL_TIMEOUT_S) -> None:
        self._url = url
        self._headers = {"authorization": f"Bearer {key}"}
        self._connections = connections
        self._timeout_s = timeout_s
        self._session: aiohttp.ClientSession | None = None
        self._random = random.Random()  # noqa: S311 - jitter only

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=self._connections),
            timeout=aiohttp.ClientTimeout(total=self._timeout_s),
            auto_decompress=False,
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def post(
        self, path: str, body: object, answer: type[_T], *, time_us: int | None = None, key: str | None = None
    ) -> _T:
        """Send a JSON body; `key` becomes the Idempotency-Key. Raises what the problem answer stands for."""
        headers = {"content-type": "application/json"} | ({"idempotency-key": key} if key else {})
        raw = await self._call("POST", path, headers, msgspec.json.encode(body), time_us)
        return msgspec.json.decode(raw, type=answer)

    async def get(
        self, path: str, answer: type[_T], *, params: Sequence[tuple[str, str]] = (), time_us: int | None = None
    ) -> _T:
        """Read a JSON answer."""
        raw = await self._call("GET", path, {}, None, time_us, params)
        return msgspec.json.decode(raw, type=answer)

    async def follow(self, url: str, *, time_us: int | None = None) -> None:
        """Call a tracking URL as a browser would, without following where it leads."""
        path = url.removeprefix(self._url) if url.startswith(self._url) else "/" + url.split("/", 3)[3]
        await self._call("GET", path, {"user-agent": BROWSER}, None, time_us)

    async def _call(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str],
        body: bytes | None,
        time_us: int | None,
        params: Sequence[tuple[str, str]] = (),
    ) -> bytes:
        sent = (
            self._headers | dict(headers) | ({REPLAY_TIME_KEY: format_rfc3339(time_us)} if time_us is not None else {})
        )
        loop = asyncio.get_running_loop()
        give_up_s = loop.time() + RETRY_FOR_S
        backoff_s = FIRST_BACKOFF_S
        while True:
            try:
                status, raw = await self._once(method, path, sent, body, params)
            except (aiohttp.ClientConnectionError, TimeoutError) as lost:
                status, raw = 503, msgspec.json.encode({"detail": f"no answer: {type(lost).__name__}"})
            if status < 400:  # noqa: PLR2004
                return raw
            if status not in RETRIED_STATUS or loop.time() > give_up_s:
                raise _error(method, path, status, raw)
            await asyncio.sleep(self._random.uniform(0, backoff_s))
            backoff_s = min(LAST_BACKOFF_S, backoff_s * 2)

    async def _once(
        self, method: str, path: str, headers: Mapping[str, str], body: bytes | None, params: Sequence[tuple[str, str]]
    ) -> tuple[int, bytes]:
        assert self._session is not None, "used outside its context"
        async with self._session.request(
            method, self._url + path, headers=headers, data=body, params=list(params), allow_redirects=False
        ) as response:
            return response.status, await response.read()


def _error(method: str, path: str, status: int, raw: bytes) -> BihuanError:
    try:
        problem = msgspec.json.decode(raw, type=Problem)
    except msgspec.DecodeError:
        problem = Problem(detail=raw[:200].decode(errors="replace"))
    places = "; ".join(f"{item.get('pointer', '')}: {item.get('detail', '')}" for item in problem.errors[:5])
    shown = path if path.startswith("/v1/") else path[:5]
    message = (
        f"{method} {shown} answered {status}: {problem.detail or problem.title}{' (' + places + ')' if places else ''}"
    )
    if status in RETRIED_STATUS:
        return Unavailable(message)
    return InvalidArgument(message) if status < 500 else Internal(message)  # noqa: PLR2004
