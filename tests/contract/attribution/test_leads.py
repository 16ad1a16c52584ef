"""Leads over real databases: scored behind billing, listed while they are due."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import Finding
from bihuan_attribution.domain.lead import LeadRoute
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.lead_scoring_store import LEADS, MAX_STEPS, SqlLeadScoring
from bihuan_attribution.use_cases.leads import LeadQuery
from bihuan_shared.clock import HOUR_US
from tests.contract.attribution.lead_desk import ACCOUNT, AS_A, A, B, Desk, action

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World


@pytest.fixture
async def desk(world: "World") -> Desk:
    desk = Desk(world)
    await desk.keep()
    return desk


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


async def test_a_late_finding_takes_the_points_of_a_touch_back(desk: Desk, cps: "CampaignTerms") -> None:
    # Only what was charged can be found out later; deposits stand between the findings.
    await desk.world.ledger.deposit("acme", "d1", "CNY", 10**12, 1)
    await desk.click("c1", replace(cps, campaign_id="cpc-1", pricing_model="cpc"))
    await desk.happen(action(desk.world, "e1", person=A))
    await desk.world.ledger.deposit("acme", "d2", "CNY", 1, 1)
    assert (await desk.only()).score.points == 6
    finding = Finding("f1", "farm", ((EventType.CLICK, "c1"),))
    await SqlFindings(desk.world.database).credit(finding, desk.world.clock.now_us())
    await desk.settle()
    lead = await desk.only()
    assert (lead.score.points, lead.score.campaign_id, lead.revision) == (5, "", 2)


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
