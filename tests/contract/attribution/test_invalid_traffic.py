"""Invalid traffic over a real database: kept with its reason, given back once, whatever comes in between."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from bihuan.attribution.v1 import event_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.domain.accounts import PlacementTerms
from bihuan_attribution.domain.event import NO_SIGNALS, EventType, Signals
from bihuan_attribution.domain.findings import Credited, Finding
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.use_cases.explain import explain_order
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_attribution.use_cases.report_ports import ReportQuery
from bihuan_attribution.wire import incoming_event
from bihuan_shared.clock import HOUR_US
from bihuan_shared.errors import AlreadyExists

if TYPE_CHECKING:
    from bihuan_attribution.domain.report import Figures
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

PRICE = 2_000_000
CPC_NANOS = PRICE * 1_000
CLICK = EventType.CLICK


async def terms_of(world: "World", campaign_id: str) -> "CampaignTerms":
    return next(one for one in (await world.terms.since(0))[1] if one.campaign_id == campaign_id)


async def visit(
    world: "World", token_id: str, *, person: int = 7, after_us: int = 1_000_000, signals: Signals = NO_SIGNALS
) -> None:
    """An impression now, and its click later."""
    token = world.token(token_id, await terms_of(world, "cpc-1"), person=person)
    now_us = world.clock.now_us()
    events = [world.beacon("impression", token, now_us), world.beacon("click", token, now_us + after_us)]
    await world.recorder.record([replace(incoming_event(one), signals=signals) for one in events])


async def reasons(world: "World") -> dict[str, int]:
    """How many events are unbilled, by reason; those that no price is on are left out."""
    return {name: count for name, count in (await world.reconcile()).unbilled if name != "not_billable"}


async def figures(world: "World") -> "Figures":
    (line,) = await world.reports.query(ReportQuery((), None, None, (), (), 10))
    return line.figures


async def credit(world: "World", finding_id: str, *events: tuple[EventType, str], reason: str = "farm") -> Credited:
    finding = Finding(finding_id, reason, events)
    return await SqlFindings(world.database).credit(finding, world.clock.now_us())


@pytest.fixture
def strict(world: "World") -> "World":
    """A world under the limits that hold where nothing is told."""
    world.billing = SqlBilling(world.database, world.clock, TrafficLimits())
    return world


@pytest.mark.parametrize(
    ("signals", "after_us", "counts"),
    [
        (Signals(known_bot=True), 1_000_000, {"ivt_known_bot": 2}),
        (Signals(prefetch=True), 1_000_000, {"ivt_prefetch": 2}),
        (Signals(data_centre=True), 1_000_000, {"ivt_data_centre": 2}),
        (Signals(), 199_999, {"ivt_too_fast": 1}),
        (Signals(), 200_000, {}),
    ],
)
async def test_invalid_events_are_free_kept_and_counted_by_their_reason(
    strict: "World", signals: Signals, after_us: int, counts: dict[str, int]
) -> None:
    await visit(strict, "t1", signals=signals, after_us=after_us)
    await strict.bill()
    assert await reasons(strict) == counts
    assert await strict.charged() == (0 if counts else CPC_NANOS)
    found = await figures(strict)
    assert found.impressions + found.clicks + found.invalid_events == 2
    assert found.invalid_events == sum(counts.values())
    kept = await strict.database.read(lambda c: c.execute(sa.select(schema.touches.c.invalid)).scalars().all())
    assert [reason for reason in kept if reason] == [name for name, count in counts.items() for _ in range(count)]


async def test_what_follows_an_invalid_impression_is_invalid_too(strict: "World") -> None:
    token = strict.token("t1", await terms_of(strict, "cpc-1"))
    shown = replace(incoming_event(strict.beacon("impression", token)), signals=Signals(known_bot=True))
    await strict.recorder.record([shown])
    await strict.bill()
    await strict.record(strict.beacon("click", token, strict.clock.now_us() + 1_000_000))
    await strict.bill()
    assert await reasons(strict) == {"ivt_known_bot": 1, "ivt_invalid_impression": 1}


@pytest.mark.parametrize(
    ("limits", "addresses", "people", "expected"),
    [
        (TrafficLimits(), 0, 1, {"ivt_repeated_click": 2}),
        (TrafficLimits(0, 0, 2, 0), 0, 1, {"ivt_person_rate": 1}),
        (TrafficLimits(0, 0, 0, 1), 9, 3, {"ivt_address_rate": 2}),
        (TrafficLimits(0, 0, 0, 0), 9, 1, {}),
    ],
)
async def test_clicks_beyond_a_limit_are_free_touches(
    world: "World", limits: TrafficLimits, addresses: int, people: int, expected: dict[str, int]
) -> None:
    world.billing = SqlBilling(world.database, world.clock, limits)
    for number in range(3):
        world.clock.advance_us(1_000_000)
        await visit(world, f"t{number}", person=1 + number % people, signals=Signals(address_hash=addresses))
        await world.bill()
    assert await reasons(world) == expected
    assert await world.charged() == CPC_NANOS * (3 - sum(expected.values()))
    excess = await world.database.read(lambda c: c.execute(sa.select(schema.touches.c.excess)).scalars().all())
    assert sorted(one for one in excess if one) == sorted(
        name for name, count in expected.items() for _ in range(count)
    )


async def test_a_click_that_an_earlier_one_puts_out_is_given_back_once(strict: "World") -> None:
    await visit(strict, "late", after_us=9_000_000)
    await strict.bill()
    assert await strict.charged() == CPC_NANOS
    for number, after_us in enumerate((8_000_000, 7_000_000, 9_500_000)):
        await visit(strict, f"early{number}", after_us=after_us)
        await strict.bill()
    assert await strict.charged() == CPC_NANOS
    kinds = [(kind, cause) for kind, cause, _ in await strict.entries()]
    assert kinds == [
        ("charge", "click/late"),
        ("ivt_credit", "click/late"),
        ("charge", "click/early0"),
        ("ivt_credit", "click/early0"),
        ("charge", "click/early1"),
    ]
    found = await figures(strict)
    assert (found.clicks, found.invalid_events, found.spend_nanos) == (1, 3, CPC_NANOS)


async def test_a_late_finding_gives_back_whole_charges_to_everybody(world: "World") -> None:
    shared = PlacementTerms("pl", 1, 0, "pub", 300_000, "portal")
    limited = replace(await terms_of(world, "cpc-1"), version=2, daily_micros=PRICE * 2, total_micros=PRICE * 2)
    await world.terms.put(TermsBatch([limited], placements=[shared]))
    for name in ("t1", "t2"):
        await visit(world, name)
    await world.bill()
    assert await world.charged() == 2 * CPC_NANOS
    world.clock.advance_us(3 * HOUR_US)
    done = await credit(world, "f1", (CLICK, "t1"), (EventType.IMPRESSION, "t1"), (CLICK, "t1"), (CLICK, "never"))
    assert (len(done.credits), done.unchanged_count, done.unknown_count) == (1, 2, 1)
    assert done.nanos == {"CNY": CPC_NANOS}
    assert await world.charged() == CPC_NANOS
    (_, charge), (_, credited) = [
        (kind, postings) for kind, cause, postings in await world.entries() if cause == "click/t1"
    ]
    assert credited == {account: -nanos for account, nanos in charge.items()}
    assert charge["publisher:payable:pub"] == -CPC_NANOS * 3 // 10
    booked = (await world.ledger.entries("", "", 0, 10))[-1]
    corrected = booked.corrects_entry_id
    assert (await world.ledger.entries("", "", corrected - 1, 1))[0].entry.cause_id == "click/t1"
    assert booked.entry.entry_time_us == booked.book_time_us == world.clock.now_us()
    budgets = await world.database.read(lambda c: c.execute(sa.select(schema.budgets.c.charged_nanos)).scalars().all())
    assert list(budgets) == [CPC_NANOS, CPC_NANOS]
    found = await figures(world)
    assert (found.impressions, found.clicks, found.invalid_events) == (2, 1, 1)
    assert found.spend_nanos == CPC_NANOS
    assert await reasons(world) == {"ivt_late_farm": 1}


async def test_room_that_a_finding_makes_can_be_spent_again(world: "World") -> None:
    limited = replace(await terms_of(world, "cpc-1"), version=2, total_micros=PRICE)
    await world.terms.put(TermsBatch([limited]))
    await visit(world, "t1")
    await world.bill()
    await credit(world, "f1", (CLICK, "t1"))
    await visit(world, "t2")
    await visit(world, "t3")
    await world.bill()
    assert await world.charged() == CPC_NANOS
    assert await reasons(world) == {"ivt_late_farm": 1, "over_budget": 1}


async def test_a_finding_counts_once_and_refuses_another_content(world: "World") -> None:
    await visit(world, "t1")
    await visit(world, "t2")
    await world.bill()
    first = await credit(world, "f1", (CLICK, "t1"), (CLICK, "t2"))
    again = await credit(world, "f1", (CLICK, "t2"), (CLICK, "t1"))
    assert (again.credits, again.spendings) == (first.credits, first.spendings)
    for events, reason in (((CLICK, "t1"),), "farm"), (((CLICK, "t1"), (CLICK, "t2")), "other"):
        with pytest.raises(AlreadyExists):
            await credit(world, "f1", *events, reason=reason)
    other = await credit(world, "f2", (CLICK, "t1"))
    assert (len(other.credits), other.unchanged_count) == (0, 1)
    assert await world.charged() == 0
    assert [kind for kind, _, _ in await world.entries()].count("ivt_credit") == 2


async def test_one_finding_reported_by_many_at_once_is_credited_once(world: "World") -> None:
    await visit(world, "t1")
    await world.bill()
    answers = await asyncio.gather(*(credit(world, f"f{n % 3}", (CLICK, "t1")) for n in range(12)))
    assert sum(len(one.credits) > 0 for one in answers) == 4
    assert [kind for kind, _, _ in await world.entries()] == ["charge", "ivt_credit"]
    assert await world.charged() == 0


async def test_findings_and_billing_at_once_leave_books_that_agree(world: "World") -> None:
    for number in range(30):
        await visit(world, f"t{number}")
    await asyncio.gather(
        world.bill(4), *(credit(world, f"f{number}", (CLICK, f"t{number}")) for number in range(0, 30, 3))
    )
    again = [await credit(world, f"g{number}", (CLICK, f"t{number}")) for number in range(0, 30, 3)]
    assert not any(one.unknown_count for one in again)
    assert await world.charged() == 20 * CPC_NANOS
    assert (await figures(world)).clicks == 20


async def test_a_charge_of_a_closed_period_is_given_back_in_the_open_one(world: "World") -> None:
    await visit(world, "t1")
    await world.bill()
    charge = (await world.ledger.entries("", "", 0, 10))[0]
    closed = {"period": charge.period, "close_time_us": 1, "last_entry_id": 1, "head_hash": charge.entry_hash}
    await world.database.write(lambda c: c.execute(schema.periods.insert(), [closed]))
    # Before its own month is over, everything of it belongs to the next one; afterwards it simply is of a later one.
    early = await credit(world, "f1", (CLICK, "t1"))
    assert len(early.credits) == 1
    booked = (await world.ledger.entries("", "", 0, 10))[-1]
    assert (charge.period, charge.adjustment) == ("2023-11", False)
    assert (booked.period, booked.adjustment, booked.corrects_entry_id) == ("2023-12", True, charge.entry_id)
    assert (await credit(world, "f1", (CLICK, "t1"))).credits == early.credits
    assert await world.charged() == 0


async def test_orders_of_before_a_finding_stay_and_later_ones_do_not_see_the_click(world: "World") -> None:
    await visit(world, "t1", after_us=0)
    await world.record(world.order("e1", "o1"))
    await world.bill()
    await credit(world, "f1", (CLICK, "t1"))
    done = event_pb2.ORDER_STATUS_COMPLETED
    await world.record(world.order("e2", "o1", status=done, update=True), world.order("e3", "o2"))
    await world.record(world.order("e4", "o3", person=0, click_id="t1"))
    await world.bill()
    before = await explain_order("acme", "o1", world.orders)
    assert [part.touch.ad.token_id for part in before.parts if part.credit_ppm] == ["t1"]
    for order_id in ("o2", "o3"):
        later = await explain_order("acme", order_id, world.orders)
        assert later.parts == () or all(part.touch.event_type is not CLICK for part in later.parts)
        assert not any(part.credit_ppm for part in later.parts)
    assert (await figures(world)).orders == 1


async def test_a_click_found_late_is_not_counted_out_again_when_an_earlier_one_comes(strict: "World") -> None:
    await visit(strict, "late", after_us=9_000_000)
    await strict.bill()
    await credit(strict, "f1", (CLICK, "late"))
    await visit(strict, "early", after_us=5_000_000)
    await strict.bill()
    found = await figures(strict)
    assert (found.clicks, found.invalid_events, found.spend_nanos) == (1, 1, CPC_NANOS)
    assert await strict.charged() == CPC_NANOS
    assert await reasons(strict) == {"ivt_repeated_click": 1}
