"""
What may be read: data class by purpose by consent.

The numbers of both enums are those of `bihuan.common.v1`, so the wire layer converts by value.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final


class DataClass(IntEnum):
    """Where a fact comes from. Classes are kept apart and released apart."""

    REGISTRATION = 1
    OPERATION = 2
    TRANSACTION = 3
    SOCIAL = 4


class Purpose(IntEnum):
    """Why data is read."""

    TARGETING = 1
    PERSONALISATION = 2
    MEASUREMENT = 3
    INSIGHT = 4


@dataclass(frozen=True, slots=True)
class Consent:
    """What a person agreed to. Whatever it does not name is not allowed: an empty one allows nothing."""

    purposes: frozenset[Purpose] = frozenset()
    data_classes: frozenset[DataClass] = frozenset()


NO_CONSENT: Final = Consent()


@dataclass(frozen=True, slots=True)
class Permit:
    """What one read may see: a purpose, the data classes that it may touch, and the advertisers it is on behalf of."""

    purpose: Purpose
    data_classes: frozenset[DataClass]
    advertiser_ids: frozenset[str] = frozenset()

    def allows(self, data_class: DataClass, purposes: frozenset[Purpose]) -> bool:
        """Whether a fact of `data_class`, usable for `purposes`, may be told."""
        return data_class in self.data_classes and self.purpose in purposes

    def allows_all(self, data_classes: frozenset[DataClass], purposes: frozenset[Purpose]) -> bool:
        """Whether something that rests on each of `data_classes`, usable for `purposes`, may be told."""
        return self.purpose in purposes and data_classes <= self.data_classes

    def sees(self, advertiser_id: str) -> bool:
        """Whether tags of that advertiser may be told; those of the platform, which have none, may."""
        return not advertiser_id or advertiser_id in self.advertiser_ids


def permit_by_consent(purpose: Purpose, consent: Consent, advertiser_ids: frozenset[str] = frozenset()) -> Permit:
    """The permit of a read under `consent`; it allows nothing unless the consent names the purpose."""
    return Permit(purpose, consent.data_classes if purpose in consent.purposes else frozenset(), advertiser_ids)


def permit_for_batch_work(purpose: Purpose, advertiser_ids: frozenset[str] = frozenset()) -> Permit:
    """
    The permit of a scan over everyone, which brings nobody's consent along.

    What a tag's purposes allow is told; the social class never is.
    """
    return Permit(purpose, frozenset(DataClass) - {DataClass.SOCIAL}, advertiser_ids)


ALL_PURPOSES: Final = frozenset(Purpose)
ADVERTISING_PURPOSES: Final = frozenset({Purpose.TARGETING, Purpose.PERSONALISATION, Purpose.INSIGHT})
TARGETING_PURPOSES: Final = frozenset({Purpose.TARGETING, Purpose.INSIGHT})
