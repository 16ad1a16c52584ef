"""Sets of vendor ids as TC strings write them. Ranges are never spelled out, so that a short text stays cheap."""

from dataclasses import dataclass

from bihuan_shared.consent.bits import BitReader
from bihuan_shared.consent.refusal import Refusal, Refused


@dataclass(frozen=True, slots=True)
class VendorSet:
    """Vendor ids: a bit field of `size` bits whose first is id 1, or inclusive ranges."""

    size: int = 0
    bits: int = 0
    ranges: tuple[tuple[int, int], ...] = ()

    def __contains__(self, vendor_id: int) -> bool:
        if 1 <= vendor_id <= self.size and self.bits >> (self.size - vendor_id) & 1:
            return True
        return any(first <= vendor_id <= last for first, last in self.ranges)

    def __bool__(self) -> bool:
        return bool(self.bits or self.ranges)


def read_vendor_set(reader: BitReader) -> VendorSet:
    """Read MaxVendorId, IsRangeEncoding and the field or the ranges (Refused)."""
    max_vendor_id = reader.number(16)
    if reader.flag():
        return read_ranges(reader)
    return VendorSet(size=max_vendor_id, bits=reader.number(max_vendor_id))


def read_ranges(reader: BitReader) -> VendorSet:
    """Read NumEntries and the ranges (Refused, INVALID_VALUE for a range that ends before it begins)."""
    ranges = []
    for _ in range(reader.number(12)):
        is_range = reader.flag()
        first = reader.number(16)
        last = reader.number(16) if is_range else first
        if last < first:
            raise Refused(Refusal.INVALID_VALUE)
        ranges.append((first, last))
    return VendorSet(ranges=tuple(ranges))
