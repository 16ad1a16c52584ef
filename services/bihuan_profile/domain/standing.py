"""How a person compares with the population, and what is expected of the person: derived at the time of the read."""

from collections.abc import Mapping
from dataclasses import dataclass

from bihuan_profile.domain.decay import long_factor
from bihuan_profile.domain.lifetime import History, Outlook, outlook
from bihuan_profile.domain.population import CurrencyScales, Population
from bihuan_profile.domain.record import Fact, Orders, Record
from bihuan_profile.domain.rfm import part, price_band
from bihuan_shared.clock import DAY_US
from bihuan_shared.money import MAX_MICROS, MICROS_PER_UNIT


@dataclass(frozen=True, slots=True)
class Standing:
    """
    Quintiles of one who has ordered, 5 being the best, as of the generation of `time_us`.

    `monetary`, `price_band` and `expected_micros` (the next 90 days) concern `currency`: None where the population does
    not know the person's currencies, or nothing that it could tell of them.
    """

    time_us: int
    recency: int
    frequency: int
    currency: str = ""
    monetary: int | None = None
    price_band: str | None = None
    expected_micros: int | None = None
    alive_probability: float | None = None


def standing(record: Record, now_us: int, population: Population | None) -> Standing | None:
    """Where a person stands; None without an order or a population."""
    orders = record.orders
    if population is None or not population.persons or not orders.frequency:
        return None
    recency = part(orders.last_time_us, population.recency.cuts)
    frequency = part(orders.frequency, population.frequency.cuts)
    time_us = max(population.built_us, orders.last_time_us)
    currency = population.main_currency(orders.monetary)
    if currency is None:
        return Standing(time_us, recency, frequency)
    scales, micros = population.currencies[currency], orders.monetary[currency].micros
    mean = micros / orders.frequency
    expected = _outlook(record, now_us, population, currency, scales)
    return Standing(
        time_us,
        recency,
        frequency,
        currency,
        part(micros, scales.monetary.cuts),
        price_band(mean, scales.order_value.cuts) if mean > 0 and scales.order_value.cuts else None,
        min(round(expected.spend), MAX_MICROS) if expected is not None else None,
        expected.alive if expected is not None else None,
    )


def derived_facts(place: Standing | None) -> Mapping[str, Fact]:
    """
    What expressions can name: `rfm_recency`, `rfm_frequency` and `rfm_monetary` (1 to 5), `price_band`, and `ltv_90d`,
    what the next 90 days are expected to bring in currency units.
    """
    if place is None:
        return {}
    values = {
        "rfm_recency": float(place.recency),
        "rfm_frequency": float(place.frequency),
        "rfm_monetary": None if place.monetary is None else float(place.monetary),
        "ltv_90d": None if place.expected_micros is None else place.expected_micros / MICROS_PER_UNIT,
        "price_band": place.price_band,
    }
    return {name: Fact(value, place.time_us) for name, value in values.items() if value is not None}


def history_of(record: Record, currency: str, now_us: int) -> History | None:
    """The orders of a person as of `now_us`, with amounts in micros of `currency`; None without a first order."""
    orders: Orders = record.orders
    if not orders.frequency or not orders.first_time_us:
        return None
    spend = orders.monetary.get(currency)
    last_us = max(0, orders.last_time_us - orders.first_time_us)
    return History(
        repeats=orders.frequency - 1,
        last=last_us / DAY_US,
        age=max(last_us, now_us - orders.first_time_us) / DAY_US,
        mean=spend.micros / orders.frequency if spend is not None else 0.0,
        recent=spend.decayed_micros * long_factor(now_us - record.reference_us) if spend is not None else 0.0,
    )


def _outlook(
    record: Record, now_us: int, population: Population, currency: str, scales: CurrencyScales
) -> Outlook | None:
    history = history_of(record, currency, now_us)
    if history is None or population.purchases is None or scales.spending is None:
        return None
    return outlook(population.purchases, scales.spending, history, population.recent_share)
