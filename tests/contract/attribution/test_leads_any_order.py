"""Leads are the same whatever the sequence of arrival, the repetitions and the batches."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.lead import LeadScore
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US
from bihuan_shared.sql import Database
from tests.contract.attribution.lead_desk import ACCOUNT, Desk, action

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

KINDS = ("impression", "click", "landing")
histories = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(KINDS), st.integers(0, 4), st.integers(0, 9)),
        st.tuples(st.sampled_from(("video", "form", "other")), st.integers(0, 3), st.integers(0, 9)),
    ),
    max_size=25,
)


def event_of(world: "World", terms: "CampaignTerms", step: tuple[str, int, int]) -> event_pb2.Event:
    kind, number, day = step
    at_us = world.clock.now_us() - day * DAY_US
    if kind in KINDS:
        return world.beacon(kind, world.token(f"t{number}", terms, person=1 + number % 3), at_us)
    click_id = f"t{number}" if day % 3 == 0 else ""
    person = 0 if day % 4 == 0 else 1 + number % 3
    return action(world, f"{kind}-{number}-{day}", kind, person=person, click_id=click_id, at_us=at_us)


async def leads_of(
    make_world: "Callable[[Database], tuple[World, CampaignTerms]]", history: list[tuple[str, int, int]], batch: int
) -> dict[tuple[int, str], LeadScore]:
    with TemporaryDirectory() as folder:
        database = await Database.open(f"sqlite:///{Path(folder) / 'a.db'}", schema.metadata, schema="attribution")
        try:
            await prepare_heads(database)
            world, terms = make_world(database)
            desk = Desk(world)
            await world.terms.put(TermsBatch([terms], [ACCOUNT]))
            for start in range(0, len(history), batch):
                await world.record(*(event_of(world, terms, step) for step in history[start : start + batch]))
                await desk.settle(batch)
            return {(one.key.person_id, one.key.token_id): one.score for one in await desk.all()}
        finally:
            await database.close()


@settings(max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=histories, seed=st.integers(0, 2**32), batch=st.sampled_from([1, 3, 50]))
def test_leads_do_not_depend_on_the_sequence_of_arrival_the_repetitions_or_the_batches(
    make_world: "Callable[[Database], tuple[World, CampaignTerms]]",
    history: list[tuple[str, int, int]],
    seed: int,
    batch: int,
) -> None:
    # The first report of a beacon is the one that counts, so each has one time here.
    first = list({(step[0], step[1]) if step[0] in KINDS else step: step for step in history}.values())
    shuffled = [*first, *first[: len(first) // 2]]
    random.Random(seed).shuffle(shuffled)
    assert asyncio.run(leads_of(make_world, first, 100)) == asyncio.run(leads_of(make_world, shuffled, batch))
