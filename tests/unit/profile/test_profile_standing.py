"""What a profile tells of a person beside the population: derived, released like orders, and told facts win."""

from itertools import product

import pytest

from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.governance import NO_CONSENT, Consent, DataClass, Purpose, permit_by_consent
from bihuan_profile.domain.holding_derived import derived_of
from bihuan_profile.domain.lifetime import History, PurchaseModel, SpendModel, outlook
from bihuan_profile.domain.population import CurrencyScales, Population, Scale
from bihuan_profile.domain.record import EMPTY, Fact, Record, fold, with_facts
from bihuan_profile.domain.standing import history_of, standing
from bihuan_profile.domain.view import ProfileView, release
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.wire import profile_message
from bihuan_shared.clock import DAY_US

NOW_US = 1_500_000_000_000_000
PURCHASES, SPENDING = PurchaseModel(0.8, 20.0, 0.5, 4.0), SpendModel(3.0, 4.0, 9e6)
DERIVED = {"rfm_recency", "rfm_frequency", "rfm_monetary", "ltv_90d", "price_band"}


def _scale(*cuts: float) -> Scale:
    return Scale(b"", tuple(cuts))


POPULATION = Population(
    built_us=NOW_US - DAY_US,
    persons=1_000,
    rank_error=0.008,
    recency=_scale(*(NOW_US - days * DAY_US for days in (200, 100, 50, 10))),
    frequency=_scale(1, 1, 2, 5),
    currencies={
        "USD": CurrencyScales(900, _scale(5e6, 10e6, 20e6, 50e6), _scale(4e6, 8e6), SPENDING),
        "EUR": CurrencyScales(100, _scale(1e6, 2e6, 3e6, 4e6), _scale(1e6, 2e6), None),
    },
    purchases=PURCHASES,
    recent_share=0.5,
)


def bought(*orders: tuple[float, int, str]) -> Record:
    """Orders by days ago, micros and currency."""
    return fold(
        EMPTY,
        [
            Event(1, f"order-{i}", Behaviour.ORDER, NOW_US - round(ago * DAY_US), amount=Amount(currency, micros))
            for i, (ago, micros, currency) in enumerate(orders)
        ],
    )


RECORD = bought((120, 9_000_000, "USD"), (60, 9_000_000, "USD"), (30, 9_000_000, "USD"))


def told(record: Record, purpose: Purpose, consent: Consent, population: Population | None = POPULATION) -> ProfileView:
    return release(record, permit_by_consent(purpose, consent), NOW_US, packaged_taxonomy(), population)


def test_a_buyer_is_placed_by_each_measure() -> None:
    place = standing(RECORD, NOW_US, POPULATION)
    assert place is not None
    assert (place.recency, place.frequency, place.monetary, place.price_band) == (4, 4, 4, "high")
    expected = outlook(
        PURCHASES,
        SPENDING,
        History(2, 90.0, 120.0, 9e6, 9e6 * (2**-1 + 2**-2 + 2**-4)),
        0.5,
    )
    assert place.currency == "USD"
    assert place.expected_micros == pytest.approx(expected.spend, abs=1)
    assert place.alive_probability == pytest.approx(expected.alive)


def test_nobody_is_placed_before_the_first_population_or_the_first_order() -> None:
    empty = Population(NOW_US, 0, 0.0, _scale(), _scale())
    assert standing(RECORD, NOW_US, None) is None
    assert standing(RECORD, NOW_US, empty) is None
    assert standing(EMPTY, NOW_US, POPULATION) is None
    message = profile_message(1, told(RECORD, Purpose.INSIGHT, _agreed(), None)).rfm
    assert (message.recency_quintile, message.price_band) == (0, "")
    assert not message.HasField("expected_spend")
    assert not message.HasField("alive_probability")


def test_only_the_currency_that_most_pay_in_is_compared() -> None:
    mixed = bought((9, 60_000_000, "EUR"), (8, 1_000_000, "USD"), (7, 90_000_000, "CHF"))
    place = standing(mixed, NOW_US, POPULATION)
    assert place is not None
    assert (place.currency, place.monetary) == ("USD", 1)
    euros = standing(bought((9, 2_500_000, "EUR")), NOW_US, POPULATION)
    assert euros is not None
    assert (euros.currency, euros.monetary, euros.price_band) == ("EUR", 3, "high")
    assert (euros.expected_micros, euros.alive_probability) == (None, None)
    francs = standing(bought((9, 2_500_000, "CHF")), NOW_US, POPULATION)
    assert francs is not None
    assert (francs.recency, francs.currency, francs.monetary, francs.price_band) == (5, "", None, None)


def test_what_was_all_returned_has_no_price_band_and_promises_nothing() -> None:
    returned = fold(RECORD, [Event(1, "r", Behaviour.REFUND, NOW_US, amount=Amount("USD", 27_000_000))])
    place = standing(returned, NOW_US, POPULATION)
    assert place is not None
    assert (place.price_band, place.expected_micros, place.monetary) == (None, 0, 1)


def test_orders_without_a_known_beginning_are_placed_but_not_forecast() -> None:
    old = Record(orders=type(RECORD.orders)(NOW_US, 3, RECORD.orders.monetary))
    assert history_of(old, "USD", NOW_US) is None
    place = standing(old, NOW_US, POPULATION)
    assert place is not None
    assert (place.frequency, place.expected_micros) == (4, None)


def test_an_order_moves_a_person_at_once() -> None:
    place = standing(fold(RECORD, [Event(1, "new", Behaviour.ORDER, NOW_US)]), NOW_US, POPULATION)
    assert place is not None
    assert place.recency == 5


def _agreed(*classes: DataClass) -> Consent:
    return Consent(frozenset(Purpose), frozenset(classes or DataClass))


@pytest.mark.parametrize(("purpose", "data_class"), list(product(Purpose, DataClass)))
def test_what_is_derived_is_released_as_the_class_transaction(purpose: Purpose, data_class: DataClass) -> None:
    view = told(RECORD, purpose, _agreed(data_class))
    names = {attribute.name for attribute in view.attributes}
    expected = set()
    if data_class is DataClass.TRANSACTION:
        expected |= {"price_band"} if purpose is not Purpose.MEASUREMENT else set()
        expected |= DERIVED - {"price_band"} if purpose is not Purpose.PERSONALISATION else set()
    assert names == expected
    assert all(attribute.derived for attribute in view.attributes)
    assert (view.rfm is not None) is bool(expected - {"price_band"})
    without = told(RECORD, purpose, _agreed(data_class), None)
    assert view.withheld_count - without.withheld_count == len(DERIVED - names)


def test_without_consent_all_that_is_derived_is_withheld_and_counted() -> None:
    view = told(RECORD, Purpose.TARGETING, NO_CONSENT)
    assert view.attributes == ()
    assert view.withheld_count == told(RECORD, Purpose.TARGETING, NO_CONSENT, None).withheld_count + len(DERIVED)


def test_a_told_fact_wins_over_the_derived_one() -> None:
    record, _ = with_facts(RECORD, [("price_band", Fact("low", NOW_US - 300 * DAY_US))])
    view = told(record, Purpose.TARGETING, _agreed())
    (band,) = [attribute for attribute in view.attributes if attribute.name == "price_band"]
    assert (band.fact.value, band.derived) == ("low", False)
    assert view.rfm is not None
    assert view.rfm.standing is not None
    assert view.rfm.standing.price_band == "high"


def test_the_message_says_what_is_derived() -> None:
    message = profile_message(1, told(RECORD, Purpose.TARGETING, _agreed()))
    rfm = message.rfm
    assert (rfm.recency_quintile, rfm.frequency_quintile, rfm.monetary_quintile, rfm.price_band) == (4, 4, 4, "high")
    assert rfm.expected_spend.currency == "USD"
    assert rfm.expected_spend.micros > 0
    assert 0 < rfm.alive_probability < 1
    attributes = {one.name: one for one in message.attributes}
    assert attributes["ltv_90d"].number == pytest.approx(rfm.expected_spend.micros / 1e6)
    assert attributes["ltv_90d"].derived
    assert attributes["rfm_recency"].number == 4
    assert attributes["price_band"].text == "high"


def test_whatever_derived_value_any_read_tells_the_person_is_told_too() -> None:
    record = fold(RECORD, [Event(1, "v", Behaviour.COMMENT, NOW_US - DAY_US, echo=False)])
    everything = Consent(frozenset(Purpose), frozenset(DataClass))
    views = [told(record, purpose, everything) for purpose in Purpose]
    held = list(derived_of(record, NOW_US, packaged_taxonomy(), POPULATION))
    values = {one.name: one.value for one in held}
    for view in views:
        assert {one.name: one.fact.value for one in view.attributes if one.derived}.items() <= values.items()
        assert {f"segment:{name}" for name in view.segments} <= values.keys()
    assert values.keys() >= {*DERIVED, "alive_probability", "ladder", "aarrr_stage"}
    assert all(one.time_us and one.origin and one.purposes for one in held)
    place = standing(record, NOW_US, POPULATION)
    assert place is not None
    assert {one.time_us for one in held if one.name in DERIVED} == {place.time_us}
