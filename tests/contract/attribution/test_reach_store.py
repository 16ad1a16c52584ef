"""Reach over a real database: the consumer behind billing, and what reports make of its sketches."""

import random
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan_attribution import reach_store, schema
from bihuan_attribution.domain.accounts import PlacementTerms
from bihuan_attribution.domain.reach import RELATIVE_ERROR, Sketch
from bihuan_attribution.domain.report import Dimension
from bihuan_attribution.reach_store import REACH, SqlReach, prepare_reach
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import InvalidArgument

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

ALL = ReportQuery((), None, None, (), (), 100, with_reach=True)


async def show(world: "World", persons: list[int], campaign: int = 0) -> None:
    """One impression a person."""
    terms = (await world.terms.since(0))[1][campaign]
    tokens = [world.token(f"{campaign}-{world.nonces}-{one}", terms, person=one) for one in persons]
    for start in range(0, len(tokens), 1_000):
        await world.record(*(world.beacon("impression", token) for token in tokens[start : start + 1_000]))
    await world.bill()


async def follow(world: "World", key: bytes = b"k" * 32, batch: int = 700) -> SqlReach:
    reach = SqlReach(world.database, await prepare_reach(world.database, key))
    while await reach.step(batch):
        pass
    return reach


async def reached(world: "World", query: ReportQuery = ALL) -> dict[tuple[str, ...], int | None]:
    return {line.values: line.reach for line in await world.reports.query(query)}


async def test_reach_unites_campaigns_and_days(world: "World") -> None:
    seeded = random.Random(4)
    shown: dict[tuple[int, int], list[int]] = {}
    for day in range(2):
        for campaign in range(2):
            shown[day, campaign] = [seeded.randrange(1, 2_000) for _ in range(900)]
            await show(world, shown[day, campaign], campaign)
        world.clock.advance_us(DAY_US)
    await follow(world)
    exact = {
        (): set().union(*shown.values()),
        ("cpm-1",): {*shown[0, 0], *shown[1, 0]},
        ("cpc-1",): {*shown[0, 1], *shown[1, 1]},
    }
    found = await reached(world) | await reached(world, replace(ALL, dimensions=(Dimension.CAMPAIGN,)))
    for values, persons in exact.items():
        assert abs((found[values] or 0) - len(persons)) <= 3 * RELATIVE_ERROR * len(persons), values
    days = await reached(world, replace(ALL, dimensions=(Dimension.DAY, Dimension.CREATIVE)))
    assert len(days) == 2
    day_us = world.clock.now_us() // DAY_US * DAY_US
    first = replace(ALL, start_us=day_us - 2 * DAY_US, end_us=day_us - DAY_US)
    of_day = len({*shown[0, 0], *shown[0, 1]})
    assert abs(((await reached(world, first))[()] or 0) - of_day) <= of_day * 3 * RELATIVE_ERROR
    for filtered in (replace(ALL, campaign_ids=("cpc-1",)), replace(ALL, advertiser_ids=("acme",))):
        assert (await reached(world, filtered))[()] is not None
    assert await reached(world, replace(ALL, advertiser_ids=("other",))) == {}


async def test_below_fifty_persons_nothing_is_told(world: "World") -> None:
    await show(world, list(range(1, 50)))
    await follow(world)
    assert await reached(world) == {(): None}
    await show(world, [99])
    await follow(world)
    assert await reached(world) == {(): 50}
    (line,) = await world.reports.query(replace(ALL, with_reach=False))
    assert (line.reach, line.figures.person_impressions) == (None, 50)


async def test_taking_everything_again_changes_nothing(world: "World") -> None:
    await show(world, list(range(1, 200)))
    await follow(world)
    query = sa.select(schema.reach_sketches.c.sketch)
    before = await world.database.read(lambda c: c.execute(query).scalars().all())
    table = schema.consumers
    back = table.update().where(table.c.consumer == REACH).values(position=0)
    await world.database.write(lambda c: c.execute(back))
    await follow(world, batch=11)
    after = await world.database.read(lambda c: c.execute(query).scalars().all())
    assert (
        [Sketch.of_bytes(one).estimate for one in after] == [Sketch.of_bytes(one).estimate for one in before] == [199]
    )
    assert await world.log.position(REACH) == await world.log.head()


async def test_the_key_of_a_database_stays(world: "World") -> None:
    await show(world, list(range(1, 101)))
    await follow(world)
    await show(world, list(range(1, 101)))
    await follow(world, b"l" * 32)
    assert await reached(world) == {(): 100}


async def test_what_is_not_counted_reaches_nobody(world: "World") -> None:
    events = [world.beacon("impression", world.token(f"b{one}", person=one)) for one in range(1, 80)]
    for one in events:
        one.signals.known_bot = True
    unknown = [world.beacon("impression", world.token(f"u{one}", person=0)) for one in range(80)]
    unbilled = [world.beacon("click", world.token(f"c{one}", person=one + 1)) for one in range(80)]
    await world.record(*events, *unknown, *unbilled)
    await world.bill()
    await follow(world)
    assert await world.database.read(lambda c: c.execute(sa.select(schema.reach_sketches)).all()) == []


async def test_reach_is_told_by_traffic_source(world: "World") -> None:
    early = world.clock.now_us() - DAY_US
    await world.terms.put(TermsBatch(placements=[PlacementTerms("pl", 1, early, "pub", 0, "video")]))
    await show(world, list(range(1, 61)))
    await follow(world)
    query = replace(ALL, dimensions=(Dimension.TRAFFIC_SOURCE, Dimension.PLACEMENT, Dimension.ADVERTISER))
    assert await reached(world, query) == {("video", "pl", "acme"): 60}


async def test_a_report_over_too_many_sketches_is_refused(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    await show(world, list(range(1, 61)))
    await show(world, list(range(1, 61)), 1)
    await follow(world)
    monkeypatch.setattr(reach_store, "MAX_SKETCHES", 1)
    with pytest.raises(InvalidArgument) as caught:
        await reached(world)
    assert caught.value.violations[0].field == "with_reach"
