"""An application that holds only the data plane's routes, over fakes."""

from collections.abc import AsyncIterator

import httpx
import pytest
from data_plane_world import World
from starlette.types import Receive, Scope, Send

from bihuan_gateway.auth import put_principal


@pytest.fixture
def world() -> World:
    """Three placements, no campaign, a caller with an admin key."""
    made = World()
    made.refresh()
    return made


@pytest.fixture
async def client(world: World) -> AsyncIterator[httpx.AsyncClient]:
    """Calls the routes as `world.principal`."""
    app = world.app()

    async def keyed(scope: Scope, receive: Receive, send: Send) -> None:
        put_principal(scope, world.principal)
        await app(scope, receive, send)

    transport = httpx.ASGITransport(app=keyed, raise_app_exceptions=True)
    async with httpx.AsyncClient(transport=transport, base_url="https://ads.example") as made:
        yield made
