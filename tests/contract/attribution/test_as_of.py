"""What was believed then: entries and balances without what was booked later."""

from collections import Counter
from typing import TYPE_CHECKING

from bihuan_attribution.payable_store import SqlPayables
from tests.contract.attribution.settled import mixed_history

if TYPE_CHECKING:
    from tests.contract.attribution.conftest import World


async def test_balances_and_entries_as_of_a_time_leave_out_what_was_booked_later(world: "World") -> None:
    books = await mixed_history(world)
    now = {account: nanos for account, _, nanos in await world.ledger.balances("acme")}
    at_us = world.clock.now_us()
    assert {account: nanos for account, _, nanos in await world.ledger.balances("acme", at_us)} == now
    booked = await world.ledger.entries("acme", "", 0, 1_000)
    for as_of in sorted({one.book_time_us for one in booked}):
        seen = await world.ledger.entries("acme", "", 0, 1_000, as_of_us=as_of)
        assert seen == [one for one in booked if one.book_time_us <= as_of]
        sums: Counter[str] = Counter()
        for one in seen:
            for posting in one.entry.postings:
                sums[posting.account] += posting.amount_nanos
        for account, _, nanos in await world.ledger.balances("acme", as_of):
            assert abs(nanos) == abs(sums[account])
    assert await world.ledger.balances("acme", booked[0].book_time_us - 1) == []
    payables, pia = SqlPayables(world.database), "promoter:payable:pia"
    assert await payables.payable(pia, at_us) == await payables.payable(pia)
    before = await books.scalar("SELECT book_time_us FROM entries WHERE kind = 'payout'") - 1
    held = {one: nanos for _, one, nanos in await payables.payable(pia, before)}
    reversed_later = sum(
        posting.amount_nanos
        for one in await world.ledger.entries("", "", 0, 1_000)
        for posting in one.entry.postings
        if posting.account == pia and one.book_time_us > before
    )
    assert held["CNY"] == (await payables.payable(pia))[0][2] + reversed_later
    of_order = await world.ledger.entries("acme", "", 0, 1_000, order_id="o1")
    assert {one.entry.order_id for one in of_order} == {"o1"}
