"""Whatever happens, in whatever sequence: the ledger equals what the lake alone says, to the nano and account."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.accounts import AdvertiserTerms, PlacementTerms
from bihuan_attribution.domain.findings import REPORTABLE, Finding
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.domain.terms import CampaignTerms, CommissionRate
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.payout_store import SqlPayouts
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US, HOUR_US
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.sql import Database
from tests.contract.attribution.test_persons import any_change

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World

MakeWorld = Callable[[Database], "tuple[World, CampaignTerms]"]
Step = tuple[str, int, int, int]
KINDS = (*["impression"] * 4, *["click"] * 5, "viewable", "viewable", "landing")
# Too soon for a human, within the hour, in the next hour, and too late for what waits.
MOMENTS_US = (0, 0, 0, 100_000, 1_000_000, 1_000_000, 2_000_000, 3_000_000, HOUR_US, HOUR_US, 3 * DAY_US, 8 * DAY_US)
LIMITS = (TrafficLimits(200_000, 1, 2, 2), TrafficLimits(0, 2, 3, 1), TrafficLimits(0, 0, 0, 0))
STATUSES = (
    event_pb2.ORDER_STATUS_PLACED,
    *[event_pb2.ORDER_STATUS_PAID] * 6,
    *[event_pb2.ORDER_STATUS_COMPLETED] * 4,
    event_pb2.ORDER_STATUS_CANCELLED,
)
small = st.integers(0, 11)
weights = [*["ad"] * 8, *["order"] * 3, *["update"] * 3, *["refund"] * 2, "bill", "terms", "placement", "limits"]
steps = st.tuples(
    st.sampled_from([*weights, "person", "person", "money", "action", "foreign", "finding", "payout"]),
    small,
    small,
    small,
)


@dataclass
class Life:
    """One history as it is played."""

    world: "World"
    terms: list[CampaignTerms]
    placements: int = 1
    accounts: int = 0
    changes: int = 0
    deposits: int = 0
    findings: int = 0
    payouts: int = 0
    owner: dict[int, int] = field(default_factory=lambda: {one: 10 + one for one in range(1, 5)})
    known: list[dict[int, int]] = field(default_factory=list)
    waiting: list[event_pb2.Event] = field(default_factory=list)

    async def play(self, step: Step) -> None:
        name, *numbers = step
        if name in {"ad", "order", "update", "refund", "action", "foreign"}:
            self.waiting.append(getattr(self, f"_{name}")(*numbers))
            return
        if self.waiting:
            await self.world.record(*self.waiting)
            self.waiting.clear()
        await getattr(self, f"_{name}")(*numbers)

    def _person(self, number: int) -> tuple[int, int]:
        """Whoever tells an event may have known an older state."""
        sighting = 1 + number % 4
        return (self.known[number % len(self.known)] if self.known else self.owner)[sighting], sighting

    def _ad(self, token: int, kind: int, moment: int) -> event_pb2.Event:
        terms = self.terms[token % len(self.terms)]
        if token == 11:
            terms = replace(terms, currency="EUR")
        sealed = self.world.token(
            f"t{token}", replace(terms, version=1 + moment % 2), price=7 + 1_001 * token, person=11 + token % 4,
            sighting=1 + token % 4 if token % 3 else 0, promoter="pia" if token % 4 == 3 else "",
            creative=f"cr{token % 2}", placement=f"pl{token % 3}",
        )  # fmt: skip
        at_us = self.world.clock.now_us() - 20 * DAY_US + MOMENTS_US[moment] + token * 10
        event = self.world.beacon(KINDS[kind], sealed, at_us)
        event.signals.address_hash = 2**63 + token % 2
        event.signals.known_bot, event.signals.prefetch = (kind, moment) == (8, 4), (kind, moment) == (0, 5)
        event.signals.data_centre = (kind, moment) == (4, 6)
        return event

    def _order(self, number: int, status: int, moment: int) -> event_pb2.Event:
        person, sighting = self._person(number)
        at_us = self.world.clock.now_us() - 20 * DAY_US + MOMENTS_US[moment] + HOUR_US
        event = self.world.order(
            f"order-{number}-{status}", f"o{number % 8}", status=STATUSES[status], paid=[100_003 + number, 333, 77],
            person=person, sighting=sighting, click_id=f"t{moment}" if status % 2 else "", at_us=at_us,
        )  # fmt: skip
        event.order.items[0].tags.extend(["colour:red", "category:tea", "category:pots"])
        event.order.items[1].tags.append("category:pots")
        event.order.items[2].item_id = "i1" if number % 2 else "i2"
        return event

    def _update(self, number: int, status: int, _: int) -> event_pb2.Event:
        return self.world.order(f"update-{number}-{status}", f"o{number % 8}", status=STATUSES[status], update=True)

    def _refund(self, number: int, item: int, amount: int) -> event_pb2.Event:
        event = self.world.refund(f"refund-{number}-{item}-{amount}", 9_001 * amount, f"o{number % 8}", f"i{item % 4}")
        event.order.refund_items.add(item_id=f"i{amount % 2}", quantity=1, refund_micros=amount)
        return event

    def _foreign(self, number: int, status: int, _: int) -> event_pb2.Event:
        event = self._update(number, status, 0)
        event.event_id, event.order.currency = f"foreign-{number}-{status}", "EUR"
        return event

    def _action(self, number: int, token: int, _: int) -> event_pb2.Event:
        event = self._update(number, 0, 0)
        event.event_id, event.event_type = f"lead-{number}-{token}", common_pb2.EVENT_TYPE_LEAD
        event.ClearField("order")
        event.action.advertiser_id, event.action.name, event.action.click_id = "acme", "call", f"t{token}"
        event.action.action_time.CopyFrom(event.receive_time)
        return event

    async def _bill(self, batch: int, _: int, __: int) -> None:
        await self.world.bill(1 + batch)

    async def _terms(self, campaign: int, change: int, moment: int) -> None:
        held = self.terms[campaign % len(self.terms)]
        effective_us = self.world.clock.now_us() - 20 * DAY_US + MOMENTS_US[moment]
        new = replace(held, version=held.version + 1, effective_time_us=effective_us)
        new = replace(new, bills_viewable=change % 2 == 1, commission_rate_ppm=1_000 * change + 7)
        new = replace(new, click_window_us=(1 + 2 * change) * DAY_US, total_micros=change // 9)
        rates = (
            CommissionRate("", "pots", 31_111),
            CommissionRate("i1", "", 77_777),
            CommissionRate("", "tea", change),
        )
        new = replace(new, commission_rates=rates[: change % 4], promoter_share_ppm=333_333 * (moment % 4))
        self.terms[campaign % len(self.terms)] = new
        await self.world.terms.put(TermsBatch([new]))

    async def _placement(self, number: int, share: int, moment: int) -> None:
        self.placements += 1
        effective_us = self.world.clock.now_us() - 20 * DAY_US + MOMENTS_US[moment]
        publisher = f"pub{share % 3}" if share % 3 else ""
        one = PlacementTerms(f"pl{number % 3}", self.placements, effective_us, publisher, 90_909 * share, "")
        await self.world.terms.put(TermsBatch(placements=[one]))

    async def _limits(self, number: int, _: int, __: int) -> None:
        self.world.billing = SqlBilling(self.world.database, self.world.clock, LIMITS[number % 3])

    async def _person_change(self, seed: int) -> None:
        self.changes += 1
        change = any_change(random.Random(seed), self.owner, self.changes)
        await self.world.persons.follow(change)
        self.known.append(dict(self.owner))

    async def _finding(self, first: int, kind: int, second: int) -> None:
        self.findings += 1
        told = tuple((event_type, f"t{token}") for event_type in REPORTABLE for token in {first, second})
        finding = Finding(f"f{self.findings}", f"farm_{kind}", told)
        await SqlFindings(self.world.database).credit(finding, self.world.clock.now_us())

    async def _payout(self, payee: int, nanos: int, _: int) -> None:
        self.payouts += 1
        account = "promoter:payable:pia" if payee % 2 else f"publisher:payable:pub{payee % 3}"
        with suppress(FailedPrecondition):
            await SqlPayouts(self.world.database).pay_out(f"p{self.payouts}", account, "CNY", 1 + nanos, 1)

    async def _money(self, number: int, credit: int, _: int) -> None:
        self.deposits += 1
        await self.world.ledger.deposit("acme", f"d{self.deposits}", "CNY", 1 + 2_000 * number, 1)
        self.accounts += 1
        one = AdvertiserTerms("acme", self.accounts, 0, "CNY", "Asia/Shanghai", 50 ** min(credit, 6), None)
        await self.world.terms.put(TermsBatch(advertisers=[one]))


async def live(folder: str, make_world: MakeWorld, history: list[Step]) -> None:
    database = await Database.open(f"sqlite:///{Path(folder) / 'a.db'}", schema.metadata, schema="attribution")
    try:
        await prepare_heads(database)
        world, plain = make_world(database)
        world.billing = SqlBilling(database, world.clock, LIMITS[0])
        terms = [
            replace(plain, campaign_id="c", pricing_model="cpc"),
            replace(
                plain, campaign_id="s", pricing_model="cps", commission_rate_ppm=123_457, promoter_share_ppm=333_333
            ),
            replace(plain, campaign_id="v", bills_viewable=True),
            replace(plain, campaign_id="s2", pricing_model="cps", commission_rate_ppm=777, click_window_us=3 * DAY_US),
            replace(plain, campaign_id="m"),
        ]
        shared = PlacementTerms("pl1", 1, 0, "pub0", 333_333, "")
        await world.terms.put(TermsBatch(terms[:-1], placements=[shared]))
        life = Life(world, terms)
        for step in history:
            await (life._person_change(step[1]) if step[0] == "person" else life.play(step))
        await life.play(("bill", 99, 0, 0))
        found = await world.reconcile()
        assert found.compared_position == found.head_position
    finally:
        await world.recorder.close()
        await database.close()


SHOWN_LATE: list[Step] = [("ad", 0, 1, 2), ("bill", 0, 0, 0), ("limits", 1, 0, 0), ("ad", 0, 0, 1)]
TAKEN_OVER: list[Step] = [
    ("ad", 1, 0, 0), ("ad", 1, 1, 2), ("order", 1, 5, 3), ("update", 1, 2, 0), ("bill", 0, 0, 0), ("terms", 1, 3, 0),
    ("ad", 3, 1, 2), ("refund", 1, 0, 5), ("bill", 0, 0, 0), ("person", 3, 0, 0), ("order", 2, 2, 4),
]  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(history=st.lists(steps, min_size=10, max_size=60))
@example(history=SHOWN_LATE)
@example(history=TAKEN_OVER)
def test_ledger_equals_what_the_lake_alone_says(make_world: MakeWorld, history: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(live(folder, make_world, history))
