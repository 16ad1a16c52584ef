"""Fakes of attribution, scoring and receivers around a courier, over the gateway's real catalogue."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.lead_backoff import Backoff
from bihuan_gateway.control.lead_courier import LeadCourier
from bihuan_gateway.control.lead_nurture import Nurture
from bihuan_gateway.control.lead_ports import DueLead, Reply, Way
from bihuan_gateway.control.lead_specs import LeadPointsSpec, LeadSpec
from bihuan_gateway.control.ports import AudienceStatus
from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.specs import AdvertiserSpec, AudienceSpec, Kind
from bihuan_gateway.control.webhook_signature import WebhookSecrets
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, Unavailable

NOW_S = 1_700_000_000
SECRETS = WebhookSecrets(("m" * 32,))
URL = "https://crm.example.com/hook"
RULES = LeadSpec(threshold=20, points=(LeadPointsSpec(action="form", points=20),), webhook_url=URL)


def lead(name: str = "lead-1", *, person: int = 7, revision: int = 1, advertiser: str = "acme") -> DueLead:
    return DueLead(
        lead_id=name,
        revision=revision,
        advertiser_id=advertiser,
        person_id=person,
        points=25,
        threshold=20,
        reasons=(("click", 5, 5), ("form", 1, 20)),
        references=("crm-1",),
        campaign_id="c1",
        creative_id="cr1",
        first_time_us=1_000_000,
        last_time_us=2_000_000,
    )


@dataclass
class Queue:
    sales: list[DueLead] = field(default_factory=list)
    nurtured: list[DueLead] = field(default_factory=list)
    acknowledged: list[tuple[str, int]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    away: bool = False
    dies: bool = False

    async def due(self, advertiser_id: str, way: Way, *, size: int, page_token: str) -> tuple[list[DueLead], str]:
        if self.away:
            raise Unavailable("away")
        self.asked.append(advertiser_id)
        leads = self.sales if way == "sales" else self.nurtured
        found = sorted(
            (one for one in leads if one.advertiser_id == advertiser_id and one.name not in self.acknowledged),
            key=lambda one: one.lead_id,
        )
        found = [one for one in found if one.lead_id > page_token]
        return found[:size], found[size - 1].lead_id if len(found) > size else ""

    async def acknowledge(self, delivered: Sequence[tuple[str, int]]) -> None:
        if self.dies:
            raise KeyboardInterrupt
        self.acknowledged += delivered


@dataclass
class Receivers:
    replies: list[Reply] = field(default_factory=list)
    sent: list[tuple[str, bytes, Mapping[str, str]]] = field(default_factory=list)
    running: int = 0
    most: int = 0

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        self.running += 1
        self.most = max(self.most, self.running)
        await asyncio.sleep(0)
        self.running -= 1
        self.sent.append((url, body, headers))
        return self.replies.pop(0) if self.replies else Reply("", 200)


@dataclass
class Lists:
    members: dict[str, set[int]] = field(default_factory=dict)
    owners: dict[str, str] = field(default_factory=dict)
    away: bool = False
    closed: bool = False

    async def create(
        self, audience_id: str, advertiser_id: str, display_name: str, *, expression: str, person_ids: Sequence[int]
    ) -> AudienceStatus:
        if self.owners.setdefault(audience_id, advertiser_id) != advertiser_id:
            raise AlreadyExists("taken")
        self.members.setdefault(audience_id, set(person_ids))
        return AudienceStatus("ready", 0, 1.0, "")

    async def change_members(
        self, audience_id: str, advertiser_id: str, *, add: Sequence[int], remove: Sequence[int]
    ) -> None:
        if self.away:
            raise Unavailable("away")
        if self.closed:
            raise FailedPrecondition("no list")
        assert self.owners[audience_id] == advertiser_id
        self.members[audience_id] = (self.members[audience_id] - set(remove)) | set(add)


@dataclass
class Always:
    mine: bool = True

    async def hold(self) -> bool:
        return self.mine


@dataclass
class World:
    store: SqlControlStore
    queue: Queue = field(default_factory=Queue)
    receivers: Receivers = field(default_factory=Receivers)
    lists: Lists = field(default_factory=Lists)
    turn: Always = field(default_factory=Always)
    counted: list[str] = field(default_factory=list)
    now: float = 0.0

    def courier(self, secrets: WebhookSecrets = SECRETS) -> LeadCourier:
        return LeadCourier(
            store=self.store,
            queue=self.queue,
            webhooks=self.receivers,
            nurture=Nurture(self.store, self.lists, FixedClock(5)),
            turn=self.turn,
            secrets=secrets,
            backoff=Backoff(lambda: self.now, lambda: 0.0),
            now_s=lambda: NOW_S,
            count=self.counted.append,
            poll_s=0.001,
        )

    async def advertise(self, name: str, leads: LeadSpec | None) -> None:
        spec = AdvertiserSpec(display_name="A", currency="USD", leads=leads)
        await self.store.create(Resource(Kind.ADVERTISERS, name, name, "", 1, 1, 1, spec), None)

    async def list_of(self, name: str, advertiser: str) -> None:
        spec = AudienceSpec(advertiser_id=advertiser, display_name="L")
        resource = Resource(Kind.AUDIENCES, name, advertiser, advertiser, 1, 1, 1, spec)
        await self.store.create(resource, None)
        await self.lists.create(name, advertiser, "L", expression="", person_ids=())
