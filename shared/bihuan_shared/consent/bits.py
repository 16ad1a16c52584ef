"""Bits of URL-safe base64 text, read once from the left; each read costs its width, whatever the text says."""

import re
from base64 import urlsafe_b64decode
from typing import Final

from bihuan_shared.consent.refusal import Refusal, Refused

_ALPHABET: Final = re.compile(r"[A-Za-z0-9_-]*", re.ASCII)
_BITS_PER_CHAR: Final = 6
_MAX_FIBONACCI_BITS: Final = 24


class BitReader:
    """
    Reads big-endian fields of a segment.

    Any number of characters is taken, since both 6-bit and 8-bit padding are in use. Raises Refused with NOT_BASE64 for
    other characters and TRUNCATED where a read goes past the end.
    """

    __slots__ = ("_at", "_bits", "_data")

    def __init__(self, text: str) -> None:
        if _ALPHABET.fullmatch(text) is None:
            raise Refused(Refusal.NOT_BASE64)
        # `A` is six zero bits: they fill the last group and lie past the end.
        self._data = urlsafe_b64decode(text + "A" * (-len(text) % 4))
        self._bits = _BITS_PER_CHAR * len(text)
        self._at = 0

    @property
    def left(self) -> int:
        """Bits that were not read."""
        return self._bits - self._at

    def number(self, width: int) -> int:
        """Read an unsigned number of `width` bits."""
        if width > self.left:
            raise Refused(Refusal.TRUNCATED)
        end = self._at + width
        last = -(-end // 8)
        value = int.from_bytes(self._data[self._at // 8 : last]) >> (8 * last - end)
        self._at = end
        return value & ((1 << width) - 1)

    def flag(self) -> bool:
        """Read one bit."""
        return self.number(1) == 1

    def fibonacci(self) -> int:
        """
        Read a number in Fibonacci coding: places count 1, 2, 3, 5, 8 and so on, and `11` ends it.

        Raises Refused with INVALID_VALUE for a number of more than 24 bits; ids are far smaller.
        """
        total, place, following, before = 0, 1, 2, False
        for _ in range(_MAX_FIBONACCI_BITS):
            bit = self.flag()
            if bit and before:
                return total
            total += place if bit else 0
            place, following, before = following, place + following, bit
        raise Refused(Refusal.INVALID_VALUE)

    def end(self) -> None:
        """Check that only padding is left: Refused with TRAILING_DATA for a bit that is set."""
        if self.number(self.left):
            raise Refused(Refusal.TRAILING_DATA)
