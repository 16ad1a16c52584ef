"""Delivering leads over fakes of attribution, scoring and receivers, and the gateway's real catalogue."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.lead_backoff import Backoff
from bihuan_gateway.control.lead_courier import AT_ONCE, LeadCourier
from bihuan_gateway.control.lead_nurture import Nurture
from bihuan_gateway.control.lead_ports import DueLead, Reply, Way
from bihuan_gateway.control.lead_specs import LeadPointsSpec, LeadSpec
from bihuan_gateway.control.ports import AudienceStatus
from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.specs import AdvertiserSpec, AudienceSpec, Kind
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.webhook_signature import WebhookSecrets, signature
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, Unavailable
from bihuan_shared.sql import Database

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


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    database = await Database.open(f"sqlite:///{tmp_path}/gateway.db", METADATA, schema=SCHEMA)
    world = World(SqlControlStore(database))
    await world.advertise("acme", RULES)
    yield world
    await database.close()


async def test_a_lead_is_delivered_signed_named_and_without_its_person(world: World) -> None:
    world.queue.sales = [lead(person=987_654_321)]
    await world.courier().visit("acme", RULES)
    ((url, body, headers),) = world.receivers.sent
    assert url == URL
    assert json.loads(body) == {
        "type": "lead",
        "lead_id": "lead-1",
        "revision": 1,
        "advertiser_id": "acme",
        "points": 25,
        "threshold": 20,
        "reasons": [{"action": "click", "count": 5, "points": 5}, {"action": "form", "count": 1, "points": 20}],
        "references": ["crm-1"],
        "campaign_id": "c1",
        "creative_id": "cr1",
        "first_time": "1970-01-01T00:00:01Z",
        "last_time": "1970-01-01T00:00:02Z",
    }
    assert "987654321" not in body.decode() + str(headers)
    assert headers["bihuan-delivery"] == "lead-1/1"
    assert headers["bihuan-signature"] == signature(SECRETS.of("acme"), NOW_S, body)
    assert (world.queue.acknowledged, world.counted) == ([("lead-1", 1)], ["delivered"])


async def test_what_was_not_taken_is_not_acknowledged_and_comes_again(world: World) -> None:
    world.queue.sales = [lead()]
    world.receivers.replies = [Reply("unreachable"), Reply("", 500)]
    courier = world.courier()
    for _ in range(2):
        await courier.visit("acme", RULES)
        assert world.queue.acknowledged == []
        await courier.visit("acme", RULES)
        world.now += 10
    assert len(world.receivers.sent) == 2
    await courier.visit("acme", RULES)
    assert world.queue.acknowledged == [("lead-1", 1)]
    assert len({headers["bihuan-delivery"] for _, _, headers in world.receivers.sent}) == 1
    assert world.counted == ["unreachable", "refused", "delivered"]


async def test_a_process_that_dies_before_acknowledging_delivers_again_under_the_same_name(world: World) -> None:
    world.queue.sales, world.queue.dies = [lead()], True
    with pytest.raises(KeyboardInterrupt):
        await world.courier().visit("acme", RULES)
    world.queue.dies = False
    await world.courier().visit("acme", RULES)
    names = [headers["bihuan-delivery"] for _, _, headers in world.receivers.sent]
    assert (names, world.queue.acknowledged) == (["lead-1/1"] * 2, [("lead-1", 1)])


async def test_few_deliveries_run_at_once_and_a_receiver_that_fails_is_spared_the_rest(world: World) -> None:
    world.queue.sales = [lead(f"lead-{number:03}") for number in range(50)]
    courier = world.courier()
    world.receivers.replies = [Reply("timeout")] * 50
    await courier.visit("acme", RULES)
    assert (len(world.receivers.sent), world.receivers.most) == (AT_ONCE, AT_ONCE)
    world.receivers.replies, world.now = [], 10.0
    await courier.visit("acme", RULES)
    assert len(world.queue.acknowledged) == 50


async def test_leads_that_a_receiver_does_not_take_hide_none_behind_them(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bihuan_gateway.control.lead_courier.PAGE", 2)
    world.queue.sales = [lead(f"lead-{number}") for number in range(5)]
    courier = world.courier()
    world.receivers.replies = [Reply("", 422)] * 2
    for _ in range(3):
        await courier.visit("acme", RULES)
    assert world.queue.acknowledged == [("lead-2", 1), ("lead-3", 1), ("lead-4", 1)]


async def test_without_a_secret_or_a_url_nothing_is_sent(world: World) -> None:
    world.queue.sales = [lead()]
    await world.courier(WebhookSecrets()).visit("acme", RULES)
    await world.courier().visit("acme", RULES.model_copy(update={"webhook_url": None}))
    assert (world.receivers.sent, world.queue.acknowledged) == ([], [])


NURTURING = RULES.model_copy(update={"nurture_audience": "warm"})


async def test_leads_below_the_threshold_come_into_a_list_that_is_made_for_them(world: World) -> None:
    world.queue.nurtured = [lead("lead-1", person=7), lead("lead-2", person=9), lead("lead-3", person=0)]
    await world.courier().visit("acme", NURTURING)
    assert world.lists.members == {"warm": {7, 9}}
    made = await world.store.find(Kind.AUDIENCES, "warm")
    assert made is not None
    assert (made.advertiser_id, made.spec) == (
        "acme", AudienceSpec(advertiser_id="acme", display_name="Leads to nurture"),
    )  # fmt: skip
    assert world.queue.acknowledged == [("lead-1", 1), ("lead-2", 1), ("lead-3", 1)]
    assert world.receivers.sent == []


async def test_whoever_goes_to_sales_leaves_the_list(world: World) -> None:
    await world.list_of("warm", "acme")
    world.lists.members["warm"] = {7, 9}
    world.queue.sales = [lead(person=7)]
    await world.courier().visit("acme", NURTURING)
    assert (world.lists.members["warm"], world.queue.acknowledged) == ({9}, [("lead-1", 1)])


async def test_another_advertisers_list_is_not_touched_and_sales_go_on(world: World) -> None:
    await world.advertise("rival", None)
    await world.list_of("warm", "rival")
    world.queue.nurtured, world.queue.sales = [lead("lead-1", person=7)], [lead("lead-2", person=9)]
    await world.courier().visit("acme", NURTURING)
    assert world.lists.members["warm"] == set()
    assert world.queue.acknowledged == [("lead-2", 1)]


async def test_a_list_that_takes_nobody_holds_leads_to_nurture_and_sales_go_on(world: World) -> None:
    await world.list_of("warm", "acme")
    world.lists.closed = True
    world.queue.nurtured, world.queue.sales = [lead("lead-1")], [lead("lead-2")]
    await world.courier().visit("acme", NURTURING)
    assert world.queue.acknowledged == [("lead-2", 1)]


async def test_while_scoring_is_away_leads_wait(world: World) -> None:
    world.lists.away = True
    world.queue.nurtured, world.queue.sales = [lead("lead-1")], [lead("lead-2")]
    courier = world.courier()
    await courier.visit("acme", NURTURING)
    assert (world.queue.acknowledged, world.receivers.sent) == ([], [])
    world.lists.away = False
    await courier.visit("acme", NURTURING)
    assert world.queue.acknowledged == [("lead-1", 1), ("lead-2", 1)]


async def test_only_advertisers_that_keep_leads_are_visited_and_a_slow_one_holds_up_nobody(world: World) -> None:
    await world.advertise("brew", RULES)
    await world.advertise("rival", None)
    world.queue.sales = [lead("lead-1"), lead("lead-2", advertiser="brew")]
    stuck = asyncio.Event()

    class Slow(Receivers):
        async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
            if b'"acme"' in body:
                await stuck.wait()
            return await super().post(url, body, headers)

    world.receivers = Slow()
    running = asyncio.create_task(world.courier().run())
    async with asyncio.timeout(5):
        while ("lead-2", 1) not in world.queue.acknowledged:
            await asyncio.sleep(0.001)
        assert ("lead-1", 1) not in world.queue.acknowledged
        stuck.set()
        while ("lead-1", 1) not in world.queue.acknowledged:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert "rival" not in world.queue.asked


async def test_while_another_gateway_has_the_turn_nobody_is_visited(world: World) -> None:
    world.turn.mine = False
    world.queue.sales = [lead()]
    running = asyncio.create_task(world.courier().run())
    await asyncio.sleep(0.05)
    assert world.queue.asked == []
    world.turn.mine = True
    async with asyncio.timeout(5):
        while not world.queue.acknowledged:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_while_attribution_is_away_the_courier_goes_on(world: World) -> None:
    world.queue.sales, world.queue.away = [lead()], True
    running = asyncio.create_task(world.courier().run())
    await asyncio.sleep(0.02)
    assert not running.done()
    world.queue.away = False
    async with asyncio.timeout(5):
        while not world.queue.acknowledged:
            await asyncio.sleep(0.001)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_a_new_revision_is_another_delivery(world: World) -> None:
    courier = world.courier()
    world.queue.sales = [lead()]
    await courier.visit("acme", RULES)
    world.queue.sales = [replace(lead(), revision=2, points=30)]
    await courier.visit("acme", RULES)
    assert [headers["bihuan-delivery"] for _, _, headers in world.receivers.sent] == ["lead-1/1", "lead-1/2"]
