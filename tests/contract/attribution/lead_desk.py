"""A desk that scores leads beside a world that bills, and what somebody does there."""

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution.domain.accounts import AdvertiserTerms, LeadPoints, LeadRules
from bihuan_attribution.domain.lead import Lead, LeadRoute
from bihuan_attribution.lead_scoring_store import SqlLeadScoring
from bihuan_attribution.lead_store import SqlLeads
from bihuan_attribution.use_cases.leads import LeadQuery
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import to_timestamp

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
