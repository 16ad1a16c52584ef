"""The figures of reports: rows by hour that only ever get differences added."""

from dataclasses import astuple, dataclass, fields
from enum import IntEnum

from bihuan_attribution.domain.event import HOUR_US


class Dimension(IntEnum):
    """What a report may be split by; the numbers are those of the wire."""

    ADVERTISER = 1
    CAMPAIGN = 2
    CREATIVE = 3
    PLACEMENT = 4
    PRICING_MODEL = 5
    DAY = 6
    HOUR = 7
    AD_GROUP = 8
    AUDIENCE = 9
    TRAFFIC_SOURCE = 10
    PROMOTER = 11


@dataclass(frozen=True, slots=True)
class ReportKey:
    """One row: `hour_us` is the start of a UTC hour; what does not apply is empty."""

    advertiser_id: str
    campaign_id: str
    ad_group_id: str
    creative_id: str
    audience_id: str
    placement_id: str
    traffic_source: str
    promoter_id: str
    pricing_model: str
    currency: str
    hour_us: int


@dataclass(slots=True)
class Figures:
    """What is counted and summed."""

    impressions: int = 0
    viewables: int = 0
    clicks: int = 0
    landings: int = 0
    engagements: int = 0
    leads: int = 0
    orders: int = 0
    direct_orders: int = 0
    invalid_events: int = 0
    person_impressions: int = 0
    order_value_micros: int = 0
    spend_nanos: int = 0
    overrun_nanos: int = 0


FIGURE_NAMES = tuple(one.name for one in fields(Figures))


@dataclass(frozen=True, slots=True)
class ReportLine:
    """
    A row of an answer; `values` has one text a dimension asked for.

    `reach` estimates how many persons were shown it; None where it was not asked for, or is below `REACH_FLOOR`.
    """

    values: tuple[str, ...]
    currency: str
    figures: Figures
    reach: int | None = None


def hour_of(at_us: int) -> int:
    """The start of the UTC hour of an instant."""
    return at_us - at_us % HOUR_US


def is_empty(figures: Figures) -> bool:
    """Whether nothing is to be added."""
    return not any(astuple(figures))
