"""When the data plane keeps leases of budgets."""

from pathlib import Path
from typing import TYPE_CHECKING, Literal

import pytest
from data_plane_world import KEYS, World
from pydantic import SecretStr

from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.data.plane import build_data_plane
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.hops import Hops
from bihuan_gateway.planes import PlaneParts
from bihuan_gateway.settings import Settings
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("clock", "told", "kept"), [("system", True, True), ("system", False, False), ("replay", True, False)]
)
async def test_leases_are_kept_unless_told_otherwise_and_never_in_a_replay(
    tmp_path: Path,
    clock: Literal["system", "replay"],
    told: bool,  # noqa: FBT001 - a parameter of the test
    kept: bool,  # noqa: FBT001 - as above
) -> None:
    settings = Settings(token_keys=SecretStr(KEYS), state_dir=tmp_path, clock=clock, public_url="https://ads.example")
    database = await Database.open(settings.database_url, METADATA, schema=SCHEMA)
    hops, world = Hops.open(settings), World()
    zeros: Callable[[int], bytes] = bytes
    plane = await build_data_plane(
        PlaneParts(settings, database, hops, world.clock, world, zeros), DataSettings(leases=told)
    )
    assert ("leases" in dict(plane.background)) is kept
    await plane.close()
    await hops.close()
    await database.close()
