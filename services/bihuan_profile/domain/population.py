"""What is known about all persons who have ordered, as one generation: what a person is compared with."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bihuan_profile.domain.lifetime import PurchaseModel, SpendModel


@dataclass(frozen=True, slots=True)
class Scale:
    """
    How one measure is spread: the serialised sketch of its values (Apache DataSketches, KLL of doubles), and the cuts
    that it gave.
    """

    sketch: bytes
    cuts: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CurrencyScales:
    """
    Amounts in one currency, of the `persons` who have paid in it: what was paid in all, and the average order value, in
    micros. Without a model too few have for one.
    """

    persons: int
    monetary: Scale
    order_value: Scale
    spending: SpendModel | None = None


@dataclass(frozen=True, slots=True)
class Population:
    """
    One generation.

    `built_us` is the instant that it holds as of, `persons` how many had ordered, `rank_error` what the sketches state:
    the normalised rank of a cut is off by no more with a probability of 99 %. Recency is the instant of the last order
    in microseconds since the epoch. `currencies` stand in the order of their persons, most first.
    """

    built_us: int
    persons: int
    rank_error: float
    recency: Scale
    frequency: Scale
    currencies: Mapping[str, CurrencyScales] = field(default_factory=dict)
    purchases: PurchaseModel | None = None
    recent_share: float = 0.0

    def main_currency(self, currencies: Mapping[str, object]) -> str | None:
        """
        Of a person's currencies the one that most persons pay in, None where the population has none of them.

        Amounts are never converted: a person is compared with those who pay in the same currency.
        """
        return next((code for code in self.currencies if code in currencies), None)
