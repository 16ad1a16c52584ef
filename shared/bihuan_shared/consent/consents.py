"""What a person agreed to, in the names of the platform."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Purpose(StrEnum):
    """Why data is read or collected; the names of `bihuan.common.v1.Purpose` without their prefix."""

    TARGETING = "TARGETING"
    PERSONALISATION = "PERSONALISATION"
    MEASUREMENT = "MEASUREMENT"
    INSIGHT = "INSIGHT"


class DataClass(StrEnum):
    """Where a fact comes from; the names of `bihuan.common.v1.DataClass` without their prefix."""

    REGISTRATION = "REGISTRATION"
    OPERATION = "OPERATION"
    TRANSACTION = "TRANSACTION"
    SOCIAL = "SOCIAL"


CLASSES_OF_STRINGS: Final = frozenset(DataClass) - {DataClass.SOCIAL}
"""
What a consent string gives where it gives a purpose.

No string speaks of our classes: TCF and GPP ask for purposes and vendors, so a purpose that is given covers the facts
it needs. Social facts tell of other people too, whom nobody asked; only an explicit consent that names the class gives
them.
"""


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to. Whatever it does not name is not allowed: an empty one allows nothing."""

    purposes: frozenset[Purpose] = frozenset()
    data_classes: frozenset[DataClass] = frozenset()
    source: str = ""

    def within(self, other: "Consent") -> "Consent":
        """Keep what both allow; the sources of both are named, joined with `+`."""
        sources = dict.fromkeys(source for source in (self.source, other.source) if source)
        return Consent(self.purposes & other.purposes, self.data_classes & other.data_classes, "+".join(sources))
