"""Leads over real databases: scored behind billing, under the persons of now."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.domain.accounts import AdvertiserTerms, LeadPoints, LeadRules
from bihuan_attribution.domain.lead import Lead, LeadRoute, LeadScore
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.lead_scoring_store import LEADS, MAX_STEPS, SqlLeadScoring
from bihuan_attribution.lead_store import SqlLeads
from bihuan_attribution.use_cases.leads import LeadQuery
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US, HOUR_US, to_timestamp
from bihuan_shared.person_change import PersonPart, PersonsChange
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

A, B = 7, 9
AS_A, AS_B = 5, 2**63 + 5
RULES = LeadRules(
    20, (LeadPoints("click", 1, 3), LeadPoints("landing", 2, 1), LeadPoints("video", 5, 2), LeadPoints("form", 15, 1))
)
ACCOUNT = AdvertiserTerms("acme", 1, 0, "CNY", "Asia/Shanghai", 0, RULES)


def action(
    world: "World",
    event_id: str,
    name: str = "video",
    *,
    person: int = 0,
    sighting: int = 0,
    click_id: str = "",
    reference: str = "",
    at_us: int | None = None,
    advertiser: str = "acme",
) -> event_pb2.Event:
    """An engagement, or a lead event for a form."""
    is_lead = name == "form"
    event = event_pb2.Event(
        event_type=common_pb2.EVENT_TYPE_LEAD if is_lead else common_pb2.EVENT_TYPE_ENGAGEMENT,
        event_id=event_id,
        receive_time=to_timestamp(world.clock.now_us()),
    )
    event.action.advertiser_id, event.action.name, event.action.click_id = advertiser, name, click_id
    event.action.reference = reference
    event.action.action_time.CopyFrom(to_timestamp(world.clock.now_us() if at_us is None else at_us))
    if person:
        event.person.person_id, event.sighting_id = person, sighting
        event.consent.purposes.append(common_pb2.PURPOSE_MEASUREMENT)
    return event


@dataclass
class Desk:
    """Scoring beside a world that bills."""

    world: "World"
    names: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.leads = SqlLeads(self.world.database)
        self.scoring = SqlLeadScoring(self.world.database, self.name)

    def name(self) -> str:
        self.names.append(f"lead-{len(self.names)}")
        return self.names[-1]

    async def keep(self, *accounts: AdvertiserTerms) -> None:
        await self.world.terms.put(TermsBatch(advertisers=accounts or (ACCOUNT,)))

    async def settle(self, limit: int = 100) -> None:
        await self.world.bill(limit)
        while await self.scoring.score(limit):
            pass

    async def happen(self, *events: event_pb2.Event) -> None:
        await self.world.record(*events)
        await self.settle()

    async def all(self, *, route: LeadRoute | None = None, due: bool = False, advertiser: str = "") -> list[Lead]:
        return await self.leads.page(LeadQuery(route, advertiser, due, "", 1_000))

    async def only(self) -> Lead:
        (found,) = await self.all()
        return found

    async def click(self, name: str, terms: "CampaignTerms", person: int = A, sighting: int = AS_A) -> None:
        token = self.world.token(name, terms, person=person, sighting=sighting)
        await self.happen(self.world.beacon("impression", token), self.world.beacon("click", token))


@pytest.fixture
async def desk(world: "World") -> Desk:
    desk = Desk(world)
    await desk.keep()
    return desk


def merge(change_id: int, survivor: int, *absorbed: int) -> PersonsChange:
    return PersonsChange(change_id, 0, tuple(sorted((survivor, *absorbed))), (PersonPart(survivor),))


async def test_what_one_person_did_is_pieced_together_and_goes_to_sales_from_the_threshold_on(
    desk: Desk, cps: "CampaignTerms"
) -> None:
    await desk.click("c1", cps)
    assert await desk.all() == []
    desk.world.clock.advance_us(HOUR_US)
    await desk.happen(action(desk.world, "acme/e1", person=A, sighting=AS_A))
    lead = await desk.only()
    assert (lead.score.points, lead.score.route, lead.revision) == (6, LeadRoute.NURTURE, 1)
    assert (lead.score.campaign_id, lead.score.creative_id) == (cps.campaign_id, "cr")
    await desk.happen(action(desk.world, "acme/f1", "form", person=A, sighting=AS_A, reference="crm-1"))
    after = await desk.only()
    assert (after.lead_id, after.revision, after.score.route) == (lead.lead_id, 2, LeadRoute.SALES)
    assert [(one.action, one.count, one.points) for one in after.score.reasons] == [
        ("click", 1, 1), ("video", 1, 5), ("form", 1, 15),
    ]  # fmt: skip
    assert after.score.references == ("crm-1",)


async def test_a_late_click_and_a_landing_raise_the_score_of_a_lead(desk: Desk, cps: "CampaignTerms") -> None:
    await desk.happen(action(desk.world, "e1", person=A))
    token = desk.world.token("t1", cps, person=A)
    await desk.happen(desk.world.beacon("click", token), desk.world.beacon("landing", token))
    assert (await desk.only()).score.points == 5
    # Until its impression comes, a click waits.
    await desk.happen(desk.world.beacon("impression", token))
    assert ((await desk.only()).score.points, (await desk.only()).revision) == (8, 2)


async def test_nothing_comes_of_invalid_touches(desk: Desk, cps: "CampaignTerms") -> None:
    await desk.happen(action(desk.world, "e1", person=A))
    token = desk.world.token("t1", cps, person=A)
    robot = desk.world.beacon("click", token)
    robot.signals.known_bot = True
    await desk.happen(desk.world.beacon("impression", token), robot)
    assert (await desk.only()).score.points == 5


async def test_repeats_count_once_and_a_conflict_changes_nothing(desk: Desk) -> None:
    first = action(desk.world, "e1", person=A)
    await desk.happen(first)
    await desk.happen(first, action(desk.world, "e1", "form", person=A))
    other = action(desk.world, "e1", "other", person=A)
    (result,) = await desk.world.record(other)
    assert result.outcome.value == "CONFLICT"
    await desk.settle()
    lead = await desk.only()
    assert [(one.action, one.count) for one in lead.score.reasons] == [("video", 1), ("form", 1)]
    before = lead.revision
    await desk.happen(first)
    assert (await desk.only()).revision == before


async def test_an_advertiser_without_rules_keeps_no_leads(world: "World") -> None:
    desk = Desk(world)
    await desk.happen(action(world, "e1", person=A))
    assert await desk.all() == []
    assert await world.log.position(LEADS) == await world.log.head()
    await desk.keep(ACCOUNT)
    assert await desk.all() == []
    await desk.happen(action(world, "e2", person=A))
    # Rules that come later score what was before as well, once something new happens.
    assert (await desk.only()).score.points == 10


async def test_rules_that_end_take_the_lead_along_with_the_next_step(desk: Desk) -> None:
    await desk.happen(action(desk.world, "e1", person=A))
    desk.world.clock.advance_us(HOUR_US)
    await desk.keep(replace(ACCOUNT, version=2, effective_time_us=desk.world.clock.now_us(), leads=None))
    await desk.happen(action(desk.world, "e2", person=B))
    assert len(await desk.all()) == 1
    await desk.happen(action(desk.world, "e3", person=A))
    assert await desk.all() == []


async def test_persons_and_advertisers_have_leads_of_their_own(desk: Desk) -> None:
    await desk.keep(replace(ACCOUNT, advertiser_id="brew"))
    events = [action(desk.world, f"{who}/{n}", person=n, advertiser=who) for who in ("acme", "brew") for n in (A, B)]
    await desk.happen(*events)
    found = await desk.all()
    assert sorted((one.key.advertiser_id, one.key.person_id) for one in found) == [
        ("acme", A), ("acme", B), ("brew", A), ("brew", B),
    ]  # fmt: skip
    assert {one.key.advertiser_id for one in await desk.all(advertiser="brew")} == {"brew"}


async def test_without_a_person_the_click_stands_for_the_prospect(desk: Desk, cps: "CampaignTerms") -> None:
    await desk.click("c1", cps)
    await desk.happen(action(desk.world, "e1", click_id="c1"), action(desk.world, "e2", "form", click_id="c1"))
    lead = await desk.only()
    # The click's person agreed to the click, not to this.
    assert (lead.key.person_id, lead.key.token_id, lead.score.points) == (0, "c1", 21)
    await desk.happen(action(desk.world, "e3"))
    assert len(await desk.all()) == 1


async def test_a_click_that_a_person_names_counts_for_that_person(desk: Desk, cps: "CampaignTerms") -> None:
    await desk.click("c1", cps, person=0, sighting=0)
    await desk.happen(action(desk.world, "e1", person=A, click_id="c1"))
    lead = await desk.only()
    assert (lead.key.person_id, lead.score.points, lead.score.campaign_id) == (A, 6, cps.campaign_id)


async def test_a_merge_brings_two_leads_together_under_the_survivor(desk: Desk) -> None:
    await desk.happen(action(desk.world, "e1", person=A, sighting=AS_A), action(desk.world, "e2", "form", person=B))
    ids = {one.key.person_id: one.lead_id for one in await desk.all()}
    await desk.world.persons.follow(merge(1, A, B))
    await desk.settle()
    lead = await desk.only()
    assert (lead.lead_id, lead.key.person_id, lead.score.points) == (ids[A], A, 20)
    assert (lead.score.route, lead.revision) == (LeadRoute.SALES, 2)


async def test_a_lead_goes_on_under_a_survivor_who_had_none(desk: Desk) -> None:
    await desk.happen(action(desk.world, "e1", "form", person=B, reference="crm-1"))
    before = await desk.only()
    await desk.leads.acknowledge([(before.lead_id, before.revision)])
    await desk.world.persons.follow(merge(1, A, B))
    await desk.settle()
    after = await desk.only()
    assert (after.lead_id, after.key.person_id, after.revision) == (before.lead_id, A, before.revision)
    assert await desk.all(due=True) == []


async def test_a_split_takes_apart_what_a_merge_brought_together(desk: Desk) -> None:
    await desk.world.persons.follow(merge(1, A, B))
    await desk.happen(
        action(desk.world, "e1", person=A, sighting=AS_A), action(desk.world, "e2", "form", person=B, sighting=AS_B)
    )
    whole = await desk.only()
    assert whole.score.points == 20
    parts = (PersonPart(A, frozenset([AS_A])), PersonPart(B, frozenset([AS_B])))
    await desk.world.persons.follow(PersonsChange(2, 0, (A,), parts))
    await desk.settle()
    found = {one.key.person_id: one for one in await desk.all()}
    assert {person: one.score.points for person, one in found.items()} == {A: 5, B: 15}
    assert (found[A].lead_id, found[A].score.route) == (whole.lead_id, LeadRoute.NURTURE)
    assert found[B].lead_id != whole.lead_id


async def test_the_lead_of_an_erased_person_is_deleted_and_does_not_come_back(desk: Desk, cps: "CampaignTerms") -> None:
    await desk.click("c1", cps)
    await desk.happen(action(desk.world, "e1", "form", person=A, click_id="c1", reference="crm-1"))
    await desk.world.persons.follow(PersonsChange(1, 0, (A,), ()))
    await desk.settle()
    assert await desk.all() == []
    token = desk.world.token("c1", cps, person=A, sighting=AS_A)
    await desk.happen(desk.world.beacon("landing", token), action(desk.world, "e2", person=A, click_id="c1"))
    assert await desk.all() == []
    # What somebody else does by the same click is a lead of its own.
    await desk.happen(action(desk.world, "e3", click_id="c1"))
    assert (await desk.only()).score.references == ()


async def test_acknowledging_takes_a_revision_off_the_due_and_a_newer_one_is_due_again(desk: Desk) -> None:
    await desk.happen(action(desk.world, "e1", "form", person=A), action(desk.world, "e2", person=B))
    (sales, nurture) = sorted(await desk.all(), key=lambda one: -one.score.points)
    assert await desk.all(route=LeadRoute.SALES) == []
    await desk.leads.acknowledge([(sales.lead_id, 1), ("unknown", 1), (nurture.lead_id, 7)])
    assert [one.lead_id for one in await desk.all(due=True)] == [nurture.lead_id]
    await desk.happen(action(desk.world, "e3", person=A))
    await desk.leads.acknowledge([(sales.lead_id, 1)])
    (due,) = await desk.all(route=LeadRoute.SALES, due=True)
    assert (due.lead_id, due.revision) == (sales.lead_id, 2)
    await desk.leads.acknowledge([(sales.lead_id, 2)])
    await desk.leads.acknowledge([(sales.lead_id, 1)])
    assert await desk.all(route=LeadRoute.SALES, due=True) == []


async def test_pages_go_through_all_leads_by_id(desk: Desk) -> None:
    await desk.happen(*(action(desk.world, f"e{n}", person=n) for n in range(1, 8)))
    seen: list[str] = []
    while page := await desk.leads.page(LeadQuery(None, "acme", True, seen[-1] if seen else "", 3)):
        seen += [one.lead_id for one in page]
    assert seen == sorted(seen)
    assert len(seen) == 7


async def test_only_the_newest_steps_of_a_prospect_are_read(desk: Desk) -> None:
    events = [
        action(desk.world, f"e{n}", "video" if n else "form", person=A, at_us=desk.world.clock.now_us() - (5 - n))
        for n in range(5)
    ]
    await desk.world.record(*events)
    await desk.world.bill()
    bounded = SqlLeadScoring(desk.world.database, desk.name, max_steps=4)
    while await bounded.score(100):
        pass
    assert [(one.action, one.count) for one in (await desk.only()).score.reasons] == [("video", 4)]
    assert MAX_STEPS == 1_000


@pytest.mark.parametrize("step", ["scored", "positioned"])
async def test_a_batch_that_breaks_off_has_done_nothing(desk: Desk, step: str) -> None:
    class Killed(Exception):  # noqa: N818
        pass

    def die(name: str) -> None:
        if name == step:
            raise Killed

    await desk.world.record(action(desk.world, "e1", person=A))
    await desk.world.bill()
    with pytest.raises(Killed):
        await SqlLeadScoring(desk.world.database, desk.name, checkpoint=die).score(100)
    assert (await desk.all(), await desk.world.log.position(LEADS)) == ([], 0)
    await desk.settle()
    assert (await desk.only()).revision == 1


async def test_of_two_processes_that_score_one_batch_one_writes(desk: Desk) -> None:
    others = [SqlLeadScoring(desk.world.database, desk.name) for _ in range(4)]
    for round_ in range(3):
        await desk.world.record(*(action(desk.world, f"e{round_}-{n}", person=n) for n in range(1, 6)))
        await asyncio.gather(desk.world.bill(2), *(other.score(2) for other in others))
        await desk.settle()
    found = await desk.all()
    assert sorted((one.key.person_id, one.score.reasons[0].count) for one in found) == [(n, 3) for n in range(1, 6)]
    assert max(one.revision for one in found) <= 3


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
