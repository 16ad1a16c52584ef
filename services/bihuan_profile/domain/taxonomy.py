"""The tags that profiles hold and expressions name, as one declared table."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bihuan_profile.domain.aarrr import AARRR_VALUES
from bihuan_profile.domain.governance import (
    ADVERTISING_PURPOSES,
    ALL_PURPOSES,
    TARGETING_PURPOSES,
    DataClass,
    Purpose,
)
from bihuan_profile.domain.influence import TIERS
from bihuan_profile.domain.ladder import LADDER_VALUES
from bihuan_profile.domain.record import FactValue


class TagType(IntEnum):
    """Type of a tag's value; the numbers are those of `bihuan.profile.v1`."""

    TEXT = 1
    NUMBER = 2
    FLAG = 3
    INTEREST = 4


@dataclass(frozen=True, slots=True)
class Tag:
    """
    A tag: what it means, what it may hold, and what it may be used for. No `values` means any.

    A `derived` tag is made by a rule and cannot be set.
    """

    name: str
    type: TagType
    data_class: DataClass
    purposes: frozenset[Purpose]
    description: str
    values: tuple[str, ...] = ()
    derived: bool = False


class Taxonomy:
    """Tags by name."""

    __slots__ = ("_tags",)

    def __init__(self, tags: Iterable[Tag]) -> None:
        self._tags: Mapping[str, Tag] = {tag.name: tag for tag in tags}

    @property
    def tags(self) -> tuple[Tag, ...]:
        """All tags, in the order of their declaration."""
        return tuple(self._tags.values())

    def get(self, name: str) -> Tag | None:
        """The tag of that name; None where there is none."""
        return self._tags.get(name)

    def fault(self, name: str, value: FactValue) -> tuple[str, str] | None:
        """
        Why an attribute may not be set: the member at fault (`name`, `text`, `number` or `flag`) and a description.

        None where it may.
        """
        tag = self._tags.get(name)
        if tag is None or tag.type is TagType.INTEREST:
            return "name", "is not an attribute of the taxonomy"
        if tag.derived:
            return "name", "is made by a rule of the platform and cannot be set"
        member, given = _type_of(value)
        if given is not tag.type:
            return member, f"must be a {tag.type.name.lower()}, which is the type of this attribute"
        if isinstance(value, float) and not math.isfinite(value):
            return member, "must be finite"
        if tag.values and value not in tag.values:
            return member, f"must be one of: {', '.join(tag.values)}"
        return ("text", "must not be empty") if value == "" and given is TagType.TEXT else None


def _type_of(value: FactValue) -> tuple[str, TagType]:
    if isinstance(value, bool):
        return "flag", TagType.FLAG
    if isinstance(value, str):
        return "text", TagType.TEXT
    return "number", TagType.NUMBER


def _text(
    name: str, data_class: DataClass, purposes: frozenset[Purpose], description: str, values: tuple[str, ...] = ()
) -> Tag:
    return Tag(name, TagType.TEXT, data_class, purposes, description, values)


def _derived(
    name: str, data_class: DataClass, purposes: frozenset[Purpose], description: str, values: tuple[str, ...]
) -> Tag:
    return Tag(name, TagType.TEXT, data_class, purposes, description, values, derived=True)


_REGISTRATION: Final = DataClass.REGISTRATION
_OPERATION: Final = DataClass.OPERATION
_TRANSACTION: Final = DataClass.TRANSACTION

RFM_PURPOSES: Final = frozenset({Purpose.TARGETING, Purpose.MEASUREMENT, Purpose.INSIGHT})
"""What recency, frequency and monetary value may be used for; what an advertisement shows is not among it."""

TAXONOMY: Final = Taxonomy(
    (
        # What the person told us.
        _text(
            "age",
            _REGISTRATION,
            ADVERTISING_PURPOSES,
            "Age range in years",
            ("0-17", "18-24", "19-24", "25-34", "35-44", "45-54", "55-64", "65+"),
        ),
        Tag("birth_year", TagType.NUMBER, _REGISTRATION, ADVERTISING_PURPOSES, "Year of birth"),
        _text("gender", _REGISTRATION, ADVERTISING_PURPOSES, "Gender as stated", ("f", "m", "x")),
        _text("income", _REGISTRATION, TARGETING_PURPOSES, "Yearly household income range, e.g. 35-49K"),
        _text("home_ownership", _REGISTRATION, TARGETING_PURPOSES, "Whether the home is owned or rented"),
        _text("marital_status", _REGISTRATION, TARGETING_PURPOSES, "Marital status as stated"),
        _text("household_size", _REGISTRATION, ADVERTISING_PURPOSES, "Persons in the household, e.g. 5+"),
        _text("household_comp", _REGISTRATION, ADVERTISING_PURPOSES, "Make-up of the household"),
        _text("kids_count", _REGISTRATION, ADVERTISING_PURPOSES, "Children in the household, e.g. 3+"),
        _text("region", _REGISTRATION, ADVERTISING_PURPOSES, "Region of residence, ISO 3166-2"),
        _text("language", _REGISTRATION, ADVERTISING_PURPOSES, "Preferred language, BCP 47"),
        Tag("newsletter", TagType.FLAG, _REGISTRATION, ADVERTISING_PURPOSES, "Signed up for the newsletter"),
        # What the person did here.
        _text(
            "device_type", _OPERATION, ADVERTISING_PURPOSES, "Device used most", ("desktop", "phone", "tablet", "tv")
        ),
        _text("visit_channel", _OPERATION, ADVERTISING_PURPOSES, "Channel of most visits, e.g. search"),
        Tag("app_user", TagType.FLAG, _OPERATION, ADVERTISING_PURPOSES, "Uses the app"),
        _derived("ladder", _OPERATION, ADVERTISING_PURPOSES, "Rung of taking part, by the last 30 days", LADDER_VALUES),
        # What the person bought.
        _text("price_band", _TRANSACTION, ADVERTISING_PURPOSES, "Price band bought most", ("low", "middle", "high")),
        _text("loyalty_tier", _TRANSACTION, ADVERTISING_PURPOSES, "Tier in the shop's loyalty programme"),
        _text("preferred_size", _TRANSACTION, ADVERTISING_PURPOSES, "Size bought most"),
        Tag("average_order", TagType.NUMBER, _TRANSACTION, ALL_PURPOSES, "Average order value, in currency units"),
        Tag("rfm_recency", TagType.NUMBER, _TRANSACTION, RFM_PURPOSES, "How recently ordered among all, 1 to 5 (last)"),
        Tag("rfm_frequency", TagType.NUMBER, _TRANSACTION, RFM_PURPOSES, "How often ordered among all, 1 to 5 (most)"),
        Tag("rfm_monetary", TagType.NUMBER, _TRANSACTION, RFM_PURPOSES, "How much paid among all, 1 to 5 (most)"),
        Tag("ltv_90d", TagType.NUMBER, _TRANSACTION, RFM_PURPOSES, "Spend expected in 90 days, in currency units"),
        # Rests on operation data as well: told only where both classes are allowed.
        _derived("aarrr_stage", _TRANSACTION, ADVERTISING_PURPOSES, "Furthest stage with the shop", AARRR_VALUES),
        # What the person's relations show.
        _derived("influence_tier", DataClass.SOCIAL, TARGETING_PURPOSES, "Reach of what the person shares", TIERS),
        _text("community", DataClass.SOCIAL, TARGETING_PURPOSES, "Community found in consented relations"),
        # Interests formed by orders, refunds and coupons are of the class TRANSACTION, others of this one.
        Tag(
            "interest",
            TagType.INTEREST,
            _OPERATION,
            ADVERTISING_PURPOSES,
            'Interest in a tag: interest("category:tea")',
        ),
    )
)
"""The taxonomy that is served."""

INTEREST_PURPOSES: Final = ADVERTISING_PURPOSES
"""What interests of either source may be used for."""
ACTIVITY_PURPOSES: Final = ALL_PURPOSES
"""What counts of behaviour may be used for."""
WARDROBE_PURPOSES: Final = ADVERTISING_PURPOSES
"""What is owned, and in which sizes, may be used for."""
RELATION_PURPOSES: Final = ADVERTISING_PURPOSES
"""What relations to brands may be used for."""
USUAL_REPLACEMENT_US: Final[Mapping[str, int]] = {}
"""By category, after how long one is usually bought again."""
