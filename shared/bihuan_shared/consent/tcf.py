"""
TC strings of the IAB Europe Transparency and Consent Framework, decoded.

Bit layout: IAB Tech Lab, "Transparency and Consent String with Global Vendor & CMP List Formats", version 2.x, sections
"The Core String", "Disclosed Vendors" and "Publisher Purposes Transparency and Consent".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from bihuan_shared.consent.bits import BitReader
from bihuan_shared.consent.refusal import Refusal, Refused
from bihuan_shared.consent.vendors import VendorSet, read_ranges, read_vendor_set

ENCODING: Final = 2
PURPOSES: Final = 24
MAX_RESTRICTIONS: Final = 4 * PURPOSES
"""Each purpose with each kind of restriction once; more cannot say more."""
_DECISECOND_US: Final = 100_000
_DISCLOSED, _ALLOWED, _PUBLISHER = 1, 2, 3


class RestrictionKind(IntEnum):
    """What a publisher demands of vendors for a purpose; UNDEFINED is not used by any encoder."""

    NOT_ALLOWED = 0
    REQUIRE_CONSENT = 1
    REQUIRE_LEGITIMATE_INTEREST = 2
    UNDEFINED = 3


@dataclass(frozen=True, slots=True)
class Restriction:
    """A demand of the publisher on some vendors for one purpose."""

    purpose: int
    kind: RestrictionKind
    vendors: VendorSet


@dataclass(frozen=True, slots=True)
class TcString:
    """
    What a TC string says.

    Purposes are sets of IAB purpose numbers, `updated_us` is microseconds since the epoch, `publisher_country` two
    capital letters. `disclosed` is None where the string has no such segment.
    """

    updated_us: int
    policy_version: int
    service_specific: bool
    consents: frozenset[int]
    legitimate_interests: frozenset[int]
    purpose_one_treatment: bool
    publisher_country: str
    vendor_consents: VendorSet
    vendor_legitimate_interests: VendorSet
    restrictions: tuple[Restriction, ...] = ()
    disclosed: VendorSet | None = None

    def restrictions_on(self, purpose: int, vendor_id: int | None) -> frozenset[RestrictionKind]:
        """
        Collect what the publisher demands of a vendor for a purpose.

        Without a vendor id whatever is demanded of any vendor counts, since it may be meant for us.
        """
        return frozenset(
            restriction.kind
            for restriction in self.restrictions
            if restriction.purpose == purpose
            and (bool(restriction.vendors) if vendor_id is None else vendor_id in restriction.vendors)
        )


def decode_tc_string(text: str) -> TcString:
    """
    Decode a TC string, all of its segments.

    Raises Refused. The publisher's own purposes and the list of allowed vendors are read to their end, so that a
    damaged string is seen, and are of no concern to us.
    """
    core, *others = text.split(".")
    reader = BitReader(core)
    if reader.number(6) != ENCODING:
        raise Refused(Refusal.UNSUPPORTED_VERSION)
    disclosed = _read_segments(others)
    decoded = _read_core(reader, disclosed)
    reader.end()
    return decoded


def _read_core(reader: BitReader, disclosed: VendorSet | None) -> TcString:
    reader.number(36)  # Created
    updated_us = reader.number(36) * _DECISECOND_US
    reader.number(12 + 12 + 6 + 12 + 12)  # the platform, its version, screen and language, the vendor list
    policy_version = reader.number(6)
    service_specific = reader.flag()
    reader.number(1 + 12)  # non-standard texts, special features
    return TcString(
        updated_us=updated_us,
        policy_version=policy_version,
        service_specific=service_specific,
        consents=_purposes(reader.number(PURPOSES)),
        legitimate_interests=_purposes(reader.number(PURPOSES)),
        purpose_one_treatment=reader.flag(),
        publisher_country=chr(65 + reader.number(6)) + chr(65 + reader.number(6)),
        vendor_consents=read_vendor_set(reader),
        vendor_legitimate_interests=read_vendor_set(reader),
        restrictions=tuple(_restrictions(reader)),
        disclosed=disclosed,
    )


def _purposes(bits: int) -> frozenset[int]:
    return frozenset(purpose for purpose in range(1, PURPOSES + 1) if bits >> (PURPOSES - purpose) & 1)


def _restrictions(reader: BitReader) -> Iterator[Restriction]:
    count = reader.number(12)
    if count > MAX_RESTRICTIONS:
        raise Refused(Refusal.INVALID_VALUE)
    for _ in range(count):
        purpose = reader.number(6)
        yield Restriction(purpose, RestrictionKind(reader.number(2)), read_ranges(reader))


def _read_segments(texts: list[str]) -> VendorSet | None:
    """Read the segments after the core, each kind at most once and in any order; return the disclosed vendors."""
    seen: set[int] = set()
    disclosed = None
    for text in texts:
        reader = BitReader(text)
        kind = reader.number(3)
        if kind not in {_DISCLOSED, _ALLOWED, _PUBLISHER}:
            raise Refused(Refusal.UNKNOWN_SEGMENT)
        if kind in seen:
            raise Refused(Refusal.INVALID_VALUE)
        seen.add(kind)
        if kind == _PUBLISHER:
            reader.number(2 * PURPOSES)
            reader.number(2 * reader.number(6))
        else:
            vendors = read_vendor_set(reader)
            disclosed = vendors if kind == _DISCLOSED else disclosed
        reader.end()
    return disclosed
