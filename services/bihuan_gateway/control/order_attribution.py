"""How orders came about: one order touch by touch, and models of attribution side by side."""

from dataclasses import dataclass
from typing import Final, Literal

Model = Literal[
    "last_click",
    "last_touch",
    "first_touch",
    "linear",
    "time_decay",
    "position_based",
    "markov",
    "shapley",
]
MODELS: Final[tuple[Model, ...]] = Model.__args__  # type: ignore[attr-defined]  # a Literal lists its values


@dataclass(frozen=True, slots=True)
class OrderItem:
    """One line of an order."""

    item_id: str
    quantity: int
    paid_micros: int


@dataclass(frozen=True, slots=True)
class Touch:
    """
    What may have led to an order.

    `credits` are what each model gives it; those of one model sum to 1,000,000 over the order, or to 0. `credit_ppm` is
    that of the default model, last click.
    """

    event_type: str
    event_id: str
    touch_time_us: int
    campaign_id: str
    creative_id: str
    join: str
    credit_ppm: int
    credits: dict[str, int]
    relation: str
    promoter_id: str
    sub_id: str


@dataclass(frozen=True, slots=True)
class Restatement:
    """What was believed of an order from a time on."""

    book_time_us: int
    credited_campaign_id: str
    order_value_micros: int
    billed_campaign_id: str
    commission_nanos: int


@dataclass(frozen=True, slots=True)
class OrderAttribution:
    """How one order came about, what was billed for it, and what was believed of it before."""

    order_id: str
    advertiser_id: str
    status: str
    order_time_us: int
    currency: str
    items: tuple[OrderItem, ...]
    touches: tuple[Touch, ...]
    billed_campaign_id: str
    commission_nanos: int
    commission_state: str
    history: tuple[Restatement, ...]
    weights_time_us: int | None


@dataclass(frozen=True, slots=True)
class ModelRow:
    """What one model gives one campaign: millionths of orders, and value by the same shares."""

    campaign: str
    model: str
    currency: str
    credited_orders_ppm: int
    credited_value_micros: int


@dataclass(frozen=True, slots=True)
class ModelComparison:
    """Models side by side, how many orders they share, and how many had no touch."""

    rows: tuple[ModelRow, ...]
    order_count: int
    unattributed_count: int
    weights_time_us: int | None


@dataclass(frozen=True, slots=True)
class ModelQuery:
    """Orders of an advertiser that were placed in `[start_time_us, end_time_us)`; no models means all."""

    start_time_us: int
    end_time_us: int
    models: tuple[Model, ...] = ()
