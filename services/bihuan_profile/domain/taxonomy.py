"""The tags that profiles hold and expressions name: what each means, and what it may be used for."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Final

from bihuan_profile.domain.governance import ADVERTISING_PURPOSES, ALL_PURPOSES, DataClass, Purpose
from bihuan_profile.domain.record import FactValue

LIFE_SIGN: Final = "#"
"""Between the name of a private tag and its life; no name has it."""


class TagType(IntEnum):
    """Type of a tag's value; the numbers are those of `bihuan.profile.v1`."""

    TEXT = 1
    NUMBER = 2
    FLAG = 3
    INTEREST = 4


class BehaviourKind(StrEnum):
    """What a record keeps of behaviour; the values are what the taxonomy's file writes."""

    INTERESTS = "interests"
    ACTIVITY = "activity"
    ORDERS = "orders"
    WARDROBE = "wardrobe"
    BONDS = "bonds"
    INFLUENCE = "influence"


@dataclass(frozen=True, slots=True)
class Tag:
    """
    A tag: what it means, what it may hold, and what it may be used for. No `values` means any.

    A value that was not renewed for `retention_us` is gone, after `half_life_us` it counts half; 0 means never.
    `display_names` are by language, `iab_audience_id` is the row of the IAB Audience Taxonomy 1.1 that fits, 0 where
    none does. A `derived` tag is made by a rule and cannot be set. A private tag has an `advertiser_id`, and a `life`:
    how often a tag of its name was deleted before.
    """

    name: str
    type: TagType
    data_class: DataClass
    purposes: frozenset[Purpose]
    description: str
    values: tuple[str, ...] = ()
    retention_us: int = 0
    half_life_us: int = 0
    display_names: Mapping[str, str] = field(default_factory=dict)
    iab_audience_id: int = 0
    derived: bool = False
    advertiser_id: str = ""
    life: int = 0

    @property
    def stored_name(self) -> str:
        """Under which name records hold its values: another one in each of its lives."""
        return self.name if not self.life else f"{self.name}{LIFE_SIGN}{self.life}"

    def confidence(self, age_us: int) -> float:
        """What is left of a value's weight at this age, in (0, 1]: 2^(-age / half-life); 1 where it does not fade."""
        if not self.half_life_us or age_us <= 0:
            return 1.0
        return max(math.exp2(-age_us / self.half_life_us), _LEAST)


_LEAST: Final = math.ulp(0.0)


class Taxonomy:
    """
    Tags by name, and what holds of behaviour as a whole.

    `version` changes with the content. Retention of behaviour is by kind and data class; what is not named is kept for
    ever.
    """

    __slots__ = ("_by_stored_name", "_lives", "_retention_us", "_tags", "_usual_us", "version")

    def __init__(
        self,
        tags: Iterable[Tag],
        *,
        version: str = "",
        behaviour_retention_us: Mapping[tuple[BehaviourKind, DataClass], int] | None = None,
        usual_replacement_us: Mapping[str, int] | None = None,
        lives: Mapping[str, int] | None = None,
    ) -> None:
        self._tags: Mapping[str, Tag] = {tag.name: tag for tag in tags}
        self._by_stored_name: Mapping[str, Tag] = {tag.stored_name: tag for tag in self._tags.values()}
        self._lives = lives or {}
        self._retention_us = behaviour_retention_us or {}
        self._usual_us = usual_replacement_us or {}
        self.version = version

    @property
    def tags(self) -> tuple[Tag, ...]:
        """All tags, in the order of their declaration."""
        return tuple(self._tags.values())

    def with_private(self, tags: Iterable[Tag], lives: Mapping[str, int] | None = None) -> "Taxonomy":
        """The same with private tags, and how often those of some names were deleted; itself where there are none."""
        added = tuple(tags)
        if not added and not lives:
            return self
        return Taxonomy(
            (*self._tags.values(), *added),
            version=self.version,
            behaviour_retention_us=self._retention_us,
            usual_replacement_us=self._usual_us,
            lives=lives,
        )

    def get(self, name: str) -> Tag | None:
        """The tag of that name; None where there is none."""
        return self._tags.get(name)

    def held(self, stored_name: str) -> Tag | None:
        """The tag whose values records hold under that name; None where there is none, or not any more."""
        return self._by_stored_name.get(stored_name)

    def is_over(self, stored_name: str) -> bool:
        """Whether what records hold under that name is of a private tag that was deleted since."""
        name, _, life = stored_name.partition(LIFE_SIGN)
        return self._lives.get(name, 0) > int(life or 0)

    def behaviour_retention_us(self, kind: BehaviourKind, data_class: DataClass) -> int:
        """How long what behaviour of a class left is kept after the last of it, in microseconds; 0 means for ever."""
        return self._retention_us.get((kind, data_class), 0)

    def usual_replacement_us(self, category: str) -> int | None:
        """After how long a thing of a category is usually bought again; None where that is not known."""
        return self._usual_us.get(category)

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


RFM_PURPOSES: Final = frozenset({Purpose.TARGETING, Purpose.MEASUREMENT, Purpose.INSIGHT})
"""What recency, frequency and monetary value may be used for; what an advertisement shows is not among it."""
INTEREST_PURPOSES: Final = ADVERTISING_PURPOSES
"""What interests of either source may be used for."""
ACTIVITY_PURPOSES: Final = ALL_PURPOSES
"""What counts of behaviour may be used for."""
WARDROBE_PURPOSES: Final = ADVERTISING_PURPOSES
"""What is owned, and in which sizes, may be used for."""
RELATION_PURPOSES: Final = ADVERTISING_PURPOSES
"""What relations to brands may be used for."""
