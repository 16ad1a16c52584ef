"""Reports as the gateway shows them. Money stays in integers; what is divided is rounded once, half-even."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from bihuan_shared.clock import DAY_US, HOUR_US
from bihuan_shared.errors import InvalidArgument

NANOS: Final = 1_000_000_000
Dimension = Literal[
    "advertiser",
    "campaign",
    "creative",
    "placement",
    "pricing_model",
    "day",
    "hour",
    "ad_group",
    "audience",
    "traffic_source",
    "promoter",
]
DIMENSIONS: Final[tuple[Dimension, ...]] = Dimension.__args__  # type: ignore[attr-defined]  # a Literal lists its values
REACH_DIMENSIONS: Final = frozenset({"advertiser", "campaign", "creative", "placement", "traffic_source", "day"})
"""What reach can be told by."""


@dataclass(frozen=True, slots=True)
class ReportQuery:
    """
    What a report covers: `[start_time_us, end_time_us)` or all of time, and nobody else's than `advertiser_id`'s.

    Of `as_of_time_us`, an instant on the hour, only what was booked before it counts.
    """

    dimensions: tuple[Dimension, ...]
    start_time_us: int | None
    end_time_us: int | None
    advertiser_id: str | None
    campaign_ids: tuple[str, ...]
    page_size: int
    page_token: str
    as_of_time_us: int | None = None
    with_reach: bool = False

    def check(self) -> None:
        """Refuse what cannot be told, naming the parameter (InvalidArgument)."""
        times = {"start_time": self.start_time_us, "end_time": self.end_time_us, "as_of_time": self.as_of_time_us}
        for name, at_us in times.items():
            if at_us is not None and at_us % HOUR_US:
                raise InvalidArgument.of(f"/query/{name}", "must be on the hour (UTC)")
        if not self.with_reach:
            return
        if self.as_of_time_us is not None:
            raise InvalidArgument.of("/query/as_of_time", "reach is of now; ask for one of the two")
        if not REACH_DIMENSIONS.issuperset(self.dimensions):
            known = ", ".join(sorted(REACH_DIMENSIONS))
            raise InvalidArgument.of("/query/dimensions", f"reach is told by {known} only")
        for name, at_us in times.items():
            if at_us is not None and at_us % DAY_US:
                raise InvalidArgument.of(f"/query/{name}", "must be a whole day (UTC) where reach is asked for")


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One row; one value a dimension asked for. `reach` is None where it was not asked for, and below 50."""

    dimension_values: tuple[str, ...]
    currency: str
    impressions: int = 0
    viewables: int = 0
    clicks: int = 0
    landings: int = 0
    orders: int = 0
    order_value_micros: int = 0
    spend_nanos: int = 0
    overrun_nanos: int = 0
    engagements: int = 0
    leads: int = 0
    invalid_events: int = 0
    direct_orders: int = 0
    person_impressions: int = 0
    reach: int | None = None


def rounded(numerator: int, denominator: int) -> int:
    """The nearest integer of a quotient, half-even; the denominator is above 0."""
    whole, rest = divmod(numerator, denominator)
    return whole + (2 * rest > denominator or (2 * rest == denominator and whole % 2))


def quotient(numerator: int, denominator: int | None, places: int) -> str | None:
    """A quotient as a decimal text with so many places, half-even; None where there is nothing to divide by."""
    if not denominator or denominator < 0:
        return None
    scaled = rounded(numerator * 10**places, denominator)
    digits = f"{abs(scaled):0{places + 1}}"
    return f"{'-' * (scaled < 0)}{digits[:-places]}.{digits[-places:]}"


@dataclass(frozen=True, slots=True)
class Metric:
    """How a column of a report comes from a row; one with `places` is a decimal text with so many, or None."""

    of: Callable[[ReportRow], int | str | None]
    places: int = 0


def _counted(name: str) -> Metric:
    return Metric(lambda row: int(getattr(row, name)))


def _divided(places: int, numerator: Callable[[ReportRow], int], denominator: Callable[[ReportRow], int]) -> Metric:
    return Metric(lambda row: quotient(numerator(row), denominator(row), places), places)


_ROAS: Final = _divided(4, lambda row: row.order_value_micros * 1_000, lambda row: row.spend_nanos)
MetricName = Literal[
    "impressions",
    "viewables",
    "clicks",
    "landings",
    "orders",
    "order_value_micros",
    "spend_micros",
    "spend_nanos",
    "overrun_nanos",
    "roi",
    "engagements",
    "leads",
    "invalid_events",
    "direct_orders",
    "person_impressions",
    "ctr",
    "viewability_rate",
    "cvr",
    "ecpm",
    "cpc",
    "cpa",
    "roas",
    "reach",
    "frequency",
]
METRICS: Final[Mapping[MetricName, Metric]] = {
    "impressions": _counted("impressions"),
    "viewables": _counted("viewables"),
    "clicks": _counted("clicks"),
    "landings": _counted("landings"),
    "orders": _counted("orders"),
    "order_value_micros": _counted("order_value_micros"),
    "spend_micros": Metric(lambda row: rounded(row.spend_nanos, 1_000)),
    "spend_nanos": _counted("spend_nanos"),
    "overrun_nanos": _counted("overrun_nanos"),
    "roi": _ROAS,
    "engagements": _counted("engagements"),
    "leads": _counted("leads"),
    "invalid_events": _counted("invalid_events"),
    "direct_orders": _counted("direct_orders"),
    "person_impressions": _counted("person_impressions"),
    "ctr": _divided(6, lambda row: row.clicks, lambda row: row.impressions),
    "viewability_rate": _divided(6, lambda row: row.viewables, lambda row: row.impressions),
    "cvr": _divided(6, lambda row: row.orders, lambda row: row.clicks),
    "ecpm": _divided(6, lambda row: row.spend_nanos * 1_000, lambda row: row.impressions * NANOS),
    "cpc": _divided(6, lambda row: row.spend_nanos, lambda row: row.clicks * NANOS),
    "cpa": _divided(6, lambda row: row.spend_nanos, lambda row: row.orders * NANOS),
    "roas": _ROAS,
    "reach": Metric(lambda row: row.reach),
    "frequency": _divided(4, lambda row: row.person_impressions, lambda row: row.reach or 0),
}
REACH_METRICS: Final[frozenset[MetricName]] = frozenset({"reach", "frequency"})
"""What is only told where it is asked for, as it costs more."""


@dataclass(frozen=True, slots=True)
class FigureDifference:
    """A figure that is not what a recomputation makes of it."""

    dimensions: dict[str, str]
    figure: str
    held: int
    recomputed: int


@dataclass(frozen=True, slots=True)
class Verification:
    """How many rows of figures were compared, up to which position of the log, and what differs."""

    row_count: int
    position: int
    differences: tuple[FigureDifference, ...]
