"""The pure rules of settlement: rounding, invoices, payouts, links of the chain."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.chain import GENESIS, entry_hash
from bihuan_attribution.domain.currency import minor_unit_nanos
from bihuan_attribution.domain.invoice import LineSum, book_rounding, draw_up
from bihuan_attribution.domain.ledger import Entry, Posting, Purse
from bihuan_attribution.domain.order import CommissionState
from bihuan_attribution.domain.payout import Cover, commission_state
from bihuan_attribution.domain.period import Period
from bihuan_attribution.domain.proof import StoredEntry, link_faults, row_hash
from bihuan_attribution.use_cases import close_period as closing
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.money import round_to_unit_nanos

NANOS = st.integers(-(10**15), 10**15)
CURRENCIES = st.sampled_from(["CNY", "JPY", "KRW", "VND", "BHD", "KWD", "TND", "CLF", "USD"])
LINE = LineSum("acme", "CNY", "c1", "cpm", adjustment=False, amount_nanos=0, prepaid_nanos=0, entry_count=1)


@pytest.mark.parametrize(
    ("places", "codes"),
    [
        (0, "JPY KRW VND ISK CLP XAF XOF XPF PYG UGX RWF"),
        (2, "CNY USD EUR GBP HKD TWD SGD MRU MGA"),
        (3, "BHD KWD JOD OMR TND IQD LYD"),
        (4, "CLF UYW"),
    ],
)
def test_a_currency_has_the_smallest_unit_that_the_standard_lists(places: int, codes: str) -> None:
    assert {minor_unit_nanos(code) for code in codes.split()} == {10 ** (9 - places)}


@pytest.mark.parametrize(
    ("nanos", "rounded"),
    [(15, 20), (25, 20), (-15, -20), (-25, -20), (24, 20), (26, 30), (-26, -30), (0, 0), (35, 40)],
)
def test_half_a_unit_goes_to_the_even_one(nanos: int, rounded: int) -> None:
    assert round_to_unit_nanos(nanos, 10) == rounded


@given(st.lists(st.tuples(NANOS, st.integers(0, 3)), min_size=1, max_size=12), CURRENCIES)
def test_the_residue_of_an_invoice_is_what_its_lines_were_rounded_by(lines: list[tuple[int, int]], code: str) -> None:
    sums = [
        replace(LINE, currency=code, campaign_id=f"c{number}", amount_nanos=nanos, entry_count=count)
        for number, (nanos, count) in enumerate(lines)
    ]
    (invoice,) = draw_up(sums, "2023-11", 5)
    unit = minor_unit_nanos(code)
    assert invoice.total_nanos % unit == 0
    assert invoice.residue_nanos == invoice.total_nanos - sum(nanos for nanos, _ in lines)
    for line in invoice.lines:
        off = abs(line.rounded_nanos - line.amount_nanos)
        assert 2 * off <= unit
        assert 2 * off < unit or line.rounded_nanos // unit % 2 == 0


@given(NANOS, st.integers(0, 10**15), st.integers(0, 10**15))
def test_the_rounding_makes_the_ledger_say_what_the_invoice_says(nanos: int, prepaid: int, owed: int) -> None:
    (draft,) = draw_up([replace(LINE, amount_nanos=nanos)], "2023-11", 5)
    purse = Purse("acme", prepaid, owed, credit_nanos=0)
    invoice, entry = book_rounding(draft, purse)
    if entry is None:
        assert draft.residue_nanos == 0
        return
    sides = {one.account: one.amount_nanos for one in entry.postings}
    assert sides.pop("platform:rounding") == -invoice.residue_nanos
    assert sum(sides.values()) == invoice.residue_nanos
    assert invoice.prepaid_nanos - draft.prepaid_nanos == sides.get("advertiser:prepaid:acme", 0)
    assert purse.receivable_nanos <= purse.ceiling_nanos, "what was rounded is owed whatever the credit line is"


def test_an_invoice_never_mixes_currencies() -> None:
    with pytest.raises(FailedPrecondition):
        draw_up([LINE, replace(LINE, currency="EUR")], "2023-11", 5)


@pytest.mark.parametrize(
    ("commission", "cover", "state"),
    [
        (CommissionState(), Cover(), "none"),
        (CommissionState(gross_nanos=5), Cover(), "estimated"),
        (CommissionState(gross_nanos=5, reversed_nanos=5, payable=True), Cover(0, 9), "none"),
        (CommissionState(gross_nanos=5, payable=True), Cover(0, 0), "payable"),
        (CommissionState(gross_nanos=5, payable=True, promoter_nanos=2), Cover(7, 6), "payable"),
        (CommissionState(gross_nanos=5, payable=True, promoter_nanos=2), Cover(7, 7), "paid"),
        (CommissionState(gross_nanos=5, promoter_nanos=0), Cover(0, 7), "estimated"),
    ],
)
def test_a_commission_stands_as_its_order_and_the_payouts_say(
    commission: CommissionState, cover: Cover, state: str
) -> None:
    assert commission_state(commission, cover) == state


TEXT = st.text(max_size=8)
BIG = st.integers(0, 2**62)


@given(st.tuples(*[TEXT] * 9), st.tuples(*[BIG] * 5), st.integers(0, 1), st.binary(min_size=32, max_size=32), NANOS)
def test_the_hash_of_a_row_is_the_one_that_the_entry_was_booked_with(
    texts: tuple[str, ...], numbers: tuple[int, ...], adjustment: int, before: bytes, nanos: int
) -> None:
    kind, cause_type, cause_id, advertiser, campaign, currency, decision, order, model = texts
    entry_id, time_us, position, corrects, book_us = numbers
    sides = (("a", nanos), ("b", -nanos))
    entry = Entry(
        kind, cause_type, cause_id, advertiser, campaign, currency, time_us, decision,
        tuple(Posting(*side) for side in reversed(sides)), order_id=order, position=position, pricing_model=model,
    )  # fmt: skip
    booked = entry_hash(before, entry_id, entry, corrects, book_us, ("2023-11", bool(adjustment)))
    row = StoredEntry(
        entry_id, kind, cause_type, cause_id, advertiser, campaign, currency, time_us, decision, order, position, model,
        corrects, book_us, "2023-11", adjustment, booked, sides,
    )  # fmt: skip
    assert row_hash(before, row) == booked
    assert not list(link_faults(entry_id - 1, before, [row]))
    assert [one.entry_id for one in link_faults(entry_id - 1, before, [replace(row, adjustment=5)])] == [entry_id]
    assert [one.invariant for one in link_faults(entry_id - 2, GENESIS, [row])] == ["gap"]


class _Periods:
    """Billing that moves on by one each time it is looked at."""

    def __init__(self) -> None:
        self.head, self.billed, self.closed_to = 3, 0, -1

    async def log_head(self) -> int:
        return self.head

    async def billed_position(self) -> int:
        self.billed += 1
        self.head += 5
        return self.billed

    async def close(self, period: str, billed_to: int, now_us: int) -> tuple[Period, list[object]]:
        self.closed_to = billed_to
        return Period(period, is_closed=True), []


async def test_a_close_waits_for_what_the_log_held_when_it_was_asked_for_and_not_for_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(closing, "POLL_S", 0)
    periods = _Periods()
    await closing.close_period("2023-11", periods, 1)  # type: ignore[arg-type]  # what the use case needs of it
    assert (periods.billed, periods.closed_to) == (3, 3)
