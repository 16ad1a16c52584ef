"""
Whatever the order of arrival and the repetitions: the same events give the same postings, credits and figures.

A late click moves a commission, and an earlier click makes another one free, so entries differ in how they get there;
what is left of each cause and each order on each account does not. `BIHUAN_EVENTS` and `BIHUAN_EXAMPLES` play more.
"""

import asyncio
import os
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bihuan.attribution.v1 import event_pb2
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.accounts import AdvertiserTerms, PlacementTerms
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.domain.report import FIGURE_NAMES
from bihuan_attribution.domain.terms import CommissionRate
from bihuan_attribution.event_log_store import prepare_heads
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US, MINUTE_US, SECOND_US
from bihuan_shared.sql import Database

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

MakeWorld = Callable[[Database], "tuple[World, CampaignTerms]"]
EVENTS = int(os.environ.get("BIHUAN_EVENTS", "10000"))
EXAMPLES = int(os.environ.get("BIHUAN_EXAMPLES", "2"))
LIMITS = TrafficLimits(200_000, 1, 4, 6)
STATUSES = (event_pb2.ORDER_STATUS_PLACED, event_pb2.ORDER_STATUS_PAID, event_pb2.ORDER_STATUS_COMPLETED)
SPAN_US = 25 * DAY_US


@dataclass(frozen=True)
class Outcome:
    """What must not depend on the order of arrival."""

    postings: dict[tuple[str, str, str], int]
    credits: set[tuple[object, ...]]
    figures: dict[tuple[object, ...], tuple[int, ...]]
    free: set[str]


def campaigns(plain: "CampaignTerms", total_micros: int, daily_micros: int) -> "list[CampaignTerms]":
    limited = replace(plain, total_micros=total_micros, daily_micros=daily_micros)
    rates = (CommissionRate("i1", "", 70_001),)
    return [
        limited,
        replace(limited, campaign_id="viewed", bills_viewable=True),
        replace(limited, campaign_id="click", pricing_model="cpc"),
        replace(plain, campaign_id="sale", pricing_model="cps", commission_rate_ppm=123_457, commission_rates=rates),
        replace(
            plain, campaign_id="promoted", pricing_model="cps", commission_rate_ppm=777, promoter_share_ppm=333_333,
            click_window_us=3 * DAY_US, item_ids=("i0",),
        ),
    ]  # fmt: skip


def history(world: "World", terms: "list[CampaignTerms]", dice: random.Random) -> list[event_pb2.Event]:
    """Events of persons who see, click, buy, return and ask, each with the time at which it was received."""
    start_us = world.clock.now_us() - SPAN_US
    events: list[event_pb2.Event] = []
    while len(events) < EVENTS:
        person, at_us = dice.randrange(12), start_us + dice.randrange(SPAN_US - 2 * DAY_US)
        # Persons come in sessions, so that clicks crowd.
        for _ in range(dice.randrange(1, 5)):
            campaign = dice.choice(terms)
            token_id = f"t{len(events)}"
            link = campaign.campaign_id == "promoted" and dice.random() < 0.5
            token = world.token(
                token_id, campaign, price=dice.randrange(1, 3_000), person=person, promoter="pia" if link else ""
            )
            at_us += dice.randrange(3 * MINUTE_US)
            if not link:
                events.append(world.beacon("impression", token, at_us))
            delay_us = dice.choice((100_000, SECOND_US, MINUTE_US, 6 * DAY_US, -DAY_US, -8 * DAY_US))
            kinds = [kind for kind in ("viewable", "click", "landing") if dice.random() < 0.6]
            events += [world.beacon(kind, token, max(start_us, at_us + delay_us)) for kind in kinds]
            for event in events[-4:]:
                if dice.random() < 0.05:
                    event.signals.known_bot = True
                event.signals.address_hash = dice.randrange(3)
        if dice.random() < 0.7:
            events += order_of(world, dice, f"o{len(events)}", person, at_us)
    return events


def order_of(world: "World", dice: random.Random, name: str, person: int, at_us: int) -> list[event_pb2.Event]:
    """An order with its life, or something that was asked."""
    placed_us = min(at_us + dice.randrange(5 * DAY_US), world.clock.now_us())
    if dice.random() < 0.3:
        action = event_pb2.Event(
            event_type=dice.choice((common_pb2.EVENT_TYPE_ENGAGEMENT, common_pb2.EVENT_TYPE_LEAD)), event_id=f"a-{name}"
        )
        template = world.order("x", name, person=person, at_us=placed_us)
        action.action.advertiser_id, action.action.name = "acme", "form"
        action.action.action_time.CopyFrom(template.order.order_time)
        action.receive_time.CopyFrom(template.receive_time)
        if person:
            action.person.person_id = person
            action.consent.CopyFrom(template.consent)
        return [action]
    paid = [dice.randrange(10_000) for _ in range(dice.randrange(1, 4))]
    click = f"t{dice.randrange(EVENTS)}" if dice.random() < 0.3 else ""
    found = [
        world.order(
            f"e-{name}", name, status=dice.choice(STATUSES), paid=paid, person=person, at_us=placed_us, click_id=click
        )
    ]
    for number in range(dice.randrange(4)):
        if dice.random() < 0.5:
            status = dice.choice((*STATUSES, event_pb2.ORDER_STATUS_CANCELLED))
            found.append(world.order(f"u{number}-{name}", name, status=status, update=True, at_us=placed_us))
        else:
            found.append(world.refund(f"r{number}-{name}", dice.randrange(6_000), name, f"i{dice.randrange(3)}"))
    return found


def with_duplicates(events: list[event_pb2.Event], dice: random.Random) -> list[event_pb2.Event]:
    mixed = events + dice.sample(events, len(events) * 3 // 10)
    dice.shuffle(mixed)
    return mixed


async def prepared(
    folder: str, make_world: MakeWorld, *, deposit: int, total: int, daily: int
) -> "tuple[World, list[CampaignTerms]]":
    database = await Database.open(f"sqlite:///{Path(folder) / 'a.db'}", schema.metadata, schema="attribution")
    await prepare_heads(database)
    world, plain = make_world(database)
    world.billing = SqlBilling(database, world.clock, LIMITS)
    terms = campaigns(plain, total, daily)
    account = AdvertiserTerms("acme", 1, 0, "CNY", "Asia/Shanghai", 0, None)
    await world.terms.put(TermsBatch(terms, [account], [PlacementTerms("pl", 1, 0, "pub", 123_456, "search")]))
    if deposit:
        await world.ledger.deposit("acme", "d1", "CNY", deposit, 1)
    return world, terms


async def play(world: "World", events: list[event_pb2.Event], batch: int) -> None:
    for start in range(0, len(events), 1_000):
        await world.record(*events[start : start + 1_000])
    await world.bill(batch)


async def outcome(world: "World") -> Outcome:
    return await world.database.read(_outcome)


def _outcome(connection: sa.Connection) -> Outcome:
    entries, postings, orders, figures = schema.entries, schema.postings, schema.orders, schema.figures
    nets: Counter[tuple[str, str, str]] = Counter()
    query = sa.select(entries, postings.c.account, postings.c.amount_nanos).join(
        postings, postings.c.entry_id == entries.c.entry_id
    )
    for row in connection.execute(query):
        nets[row.order_id or row.cause_id, row.campaign_id, row.account] += row.amount_nanos
    credited = [column for column in orders.columns if column.name.startswith("credit_")]
    keys = [one for one in figures.primary_key.columns if one.name != "book_hour_us"]
    sums = [sa.func.sum(figures.c[name]) for name in FIGURE_NAMES]
    rows = connection.execute(sa.select(*keys, *sums).group_by(*keys)).all()
    events, unbilled = schema.events, schema.unbilled
    free = sa.select(events.c.event_type, events.c.event_id).join(unbilled, unbilled.c.position == events.c.position)
    return Outcome(
        {key: nanos for key, nanos in nets.items() if nanos},
        {tuple(row) for row in connection.execute(sa.select(orders.c.advertiser_id, orders.c.order_id, *credited))},
        {tuple(row[: len(keys)]): tuple(row[len(keys) :]) for row in rows if any(row[len(keys) :])},
        {f"{row.event_type}/{row.event_id}" for row in connection.execute(free.where(unbilled.c.reason.like("ivt_%")))},
    )


async def two_orders(make_world: MakeWorld, seed: int, batches: tuple[int, int]) -> tuple[Outcome, Outcome]:
    found = []
    for number, batch in enumerate(batches):
        with TemporaryDirectory() as folder:
            world, terms = await prepared(folder, make_world, deposit=10**15, total=0, daily=0)
            events = history(world, terms, random.Random(seed))
            await play(world, with_duplicates(events, random.Random(seed + number)) if number else events, batch)
            found.append(await outcome(world))
            await world.recorder.close()
            await world.database.close()
    return found[0], found[1]


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), batch=st.sampled_from([200, 2_000, 20_000]))
def test_any_order_with_duplicates_gives_the_same_postings_credits_and_figures(
    make_world: MakeWorld, seed: int, batch: int
) -> None:
    straight, shuffled = asyncio.run(two_orders(make_world, seed, (1_000, batch)))
    assert straight.postings == shuffled.postings
    assert straight.credits == shuffled.credits
    assert straight.figures == shuffled.figures
    assert straight.free == shuffled.free
    assert straight.postings
    assert straight.free


async def tight(make_world: MakeWorld, seed: int, batch: int) -> None:
    with TemporaryDirectory() as folder:
        world, terms = await prepared(folder, make_world, deposit=300_000, total=60, daily=8)
        dice = random.Random(seed)
        await play(world, with_duplicates(history(world, terms, dice), dice), batch)
        rows = await world.database.read(lambda c: c.execute(sa.select(schema.budgets)).all())
        assert all(0 <= row.charged_nanos <= (8_000 if row.day else 60_000) for row in rows)
        accounts = await world.database.read(lambda c: c.execute(sa.select(schema.accounts)).all())
        assert sum(row.balance_nanos for row in accounts) == 0
        assert all(row.balance_nanos <= row.limit_nanos for row in accounts)
        found = await outcome(world)
        reasons = await world.database.read(lambda c: set(c.execute(sa.select(schema.unbilled.c.reason)).scalars()))
        assert reasons >= {"over_budget", "over_balance"}
        assert found.postings
        await world.recorder.close()
        await world.database.close()


@settings(max_examples=EXAMPLES, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32), batch=st.sampled_from([200, 2_000, 20_000]))
def test_nothing_beyond_a_tight_budget_is_charged_in_any_order(make_world: MakeWorld, seed: int, batch: int) -> None:
    asyncio.run(tight(make_world, seed, batch))
