"""What holds for every request: time, load, keys that are held for a moment, problems."""

import asyncio

import httpx
import pytest
import structlog
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from bihuan_gateway.auth import CACHE_TTL_S, Authenticator
from bihuan_gateway.body import parse
from bihuan_gateway.control.access import Principal, Role
from bihuan_gateway.edge import Edge, EdgeRules
from bihuan_gateway.metrics import HTTP_REQUESTS
from bihuan_gateway.planes import NamedRoute
from bihuan_gateway.problem import pointer_of_path
from bihuan_shared.callers import secret_sha256
from bihuan_shared.errors import InvalidArgument, Unauthenticated


class Keys:
    def __init__(self) -> None:
        self.known: dict[str, Principal] = {}
        self.asked = 0

    async def find_key(self, secret_sha256: str) -> Principal | None:
        self.asked += 1
        return self.known.get(secret_sha256)


def edge(rules: EdgeRules, *routes: Route) -> httpx.AsyncClient:
    app = Edge(Starlette(routes=list(routes)), rules=rules, authenticator=lambda: Authenticator(Keys()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://gateway")


def rules(*, timeout_s: float = 5.0, max_in_flight: int = 100) -> EdgeRules:
    return EdgeRules(
        replay=False,
        public=("/open",),
        lists=frozenset(),
        max_body_bytes=1024,
        max_list_body_bytes=1024,
        timeout_s=timeout_s,
        list_timeout_s=timeout_s,
        max_in_flight=max_in_flight,
        hot=("/open/{name}",),
    )


async def test_request_that_takes_too_long_is_answered_typed() -> None:
    async def slow(_: Request) -> PlainTextResponse:
        await asyncio.Event().wait()
        return PlainTextResponse("never")

    async with edge(rules(timeout_s=0.01), Route("/open", slow)) as client:
        answer = await client.get("/open")
    assert (answer.status_code, answer.json()["type"]) == (503, "urn:bihuan:DEADLINE_EXCEEDED")
    assert answer.headers["retry-after"] == "1"


async def test_requests_beyond_the_bound_are_refused_and_others_answered() -> None:
    go, inside = asyncio.Event(), asyncio.Event()

    async def held(_: Request) -> PlainTextResponse:
        inside.set()
        await go.wait()
        return PlainTextResponse("done")

    async with edge(rules(max_in_flight=1), Route("/open", held)) as client:
        first = asyncio.create_task(client.get("/open"))
        await inside.wait()
        refused = await client.get("/open")
        go.set()
        assert (await first).text == "done"
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:bihuan:OVERLOADED")
        assert (await client.get("/open")).status_code == 200


async def test_paths_beside_an_open_one_are_not_open() -> None:
    async with edge(rules()) as client:
        assert (await client.get("/opener")).status_code == 401
        assert (await client.get("/open/er")).status_code == 404


async def test_authenticator_holds_answers_for_a_moment_only() -> None:
    keys, now = Keys(), [0.0]
    authenticator = Authenticator(keys, monotonic=lambda: now[0])
    digest = "2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b"  # of "secret"
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate("Bearer secret")
    assert keys.asked == 1
    keys.known[digest] = Principal("k", Role.ANALYST)
    now[0] = CACHE_TTL_S + 1
    assert (await authenticator.authenticate("bearer secret")).key_id == "k"


async def test_authenticator_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bihuan_gateway.auth.CACHE_KEYS", 10)
    authenticator = Authenticator(Keys())
    for guess in range(100):
        with pytest.raises(Unauthenticated):
            await authenticator.authenticate(f"Bearer guess-{guess}")
    assert len(authenticator._cache) == 10


def test_field_paths_become_json_pointers() -> None:
    assert pointer_of_path("items[3].identifiers[0].value") == "/items/3/identifiers/0/value"
    assert pointer_of_path("/already/there") == "/already/there"
    assert pointer_of_path("") == ""


def test_json_brackets_inside_texts_do_not_count_as_nesting() -> None:
    text = "[{" * 50 + '\\"'
    assert parse(b'{"a": "' + text.encode() + b'", "b": [[1, -2.5e3]]}') == {"a": "[{" * 50 + '"', "b": [[1, -2500.0]]}


def test_json_with_a_name_that_is_no_text_is_refused() -> None:
    with pytest.raises(InvalidArgument):
        parse(b'{"\\ud800": 1}')


@pytest.mark.parametrize(
    ("path", "slow_s", "levels"),
    [
        ("/open/x", 60.0, ["debug"]),
        ("/open/x", 0.0, ["info"]),
        ("/open/missing", 60.0, ["info"]),
        ("/open", 60.0, ["info"]),
    ],
)
async def test_hot_routes_are_in_the_log_where_they_fail_or_are_slow(
    monkeypatch: pytest.MonkeyPatch, path: str, slow_s: float, levels: list[str]
) -> None:
    async def answer(request: Request) -> PlainTextResponse:
        return PlainTextResponse("done", 404 if request.path_params.get("name") == "missing" else 200)

    monkeypatch.setattr("bihuan_gateway.edge._SLOW_S", slow_s)
    monkeypatch.setattr("bihuan_gateway.edge._levels.isEnabledFor", lambda _: True)
    before = _counted("GET", "/open/{name}" if path != "/open" else "/open")
    with structlog.testing.capture_logs() as lines:
        async with edge(rules(), NamedRoute("/open/{name}", answer), NamedRoute("/open", answer)) as client:
            await client.get(path)
    assert [line["log_level"] for line in lines if line["event"] == "request"] == levels
    assert _counted("GET", "/open/{name}" if path != "/open" else "/open") == before + 1


def _counted(method: str, route: str) -> float:
    return sum(
        sample.value
        for metric in HTTP_REQUESTS.collect()
        for sample in metric.samples
        if sample.name.endswith("_total") and (sample.labels["method"], sample.labels["route"]) == (method, route)
    )


async def test_a_key_that_is_revoked_while_it_is_looked_up_is_not_held() -> None:
    class SlowKeys(Keys):
        go, inside = asyncio.Event(), asyncio.Event()

        async def find_key(self, secret_sha256: str) -> Principal | None:
            found = await super().find_key(secret_sha256)
            self.inside.set()
            await self.go.wait()
            return found

    keys = SlowKeys()
    keys.known[secret_sha256("secret")] = Principal("k", Role.ADMIN)
    authenticator = Authenticator(keys)
    asked = asyncio.create_task(authenticator.authenticate("Bearer secret"))
    await keys.inside.wait()
    keys.known.clear()
    authenticator.forget()
    keys.go.set()
    with pytest.raises(Unauthenticated):
        await asked
