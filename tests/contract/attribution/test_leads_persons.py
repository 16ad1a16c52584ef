"""Whose lead it is: persons, clicks without a person, and changes of who is who."""

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from bihuan_attribution.domain.lead import LeadRoute
from bihuan_shared.person_change import PersonPart, PersonsChange
from tests.contract.attribution.lead_desk import ACCOUNT, AS_A, AS_B, A, B, Desk, action

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World


@pytest.fixture
async def desk(world: "World") -> Desk:
    desk = Desk(world)
    await desk.keep()
    return desk


def merge(change_id: int, survivor: int, *absorbed: int) -> PersonsChange:
    return PersonsChange(change_id, 0, tuple(sorted((survivor, *absorbed))), (PersonPart(survivor),))


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
