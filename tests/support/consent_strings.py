"""
Writes consent strings bit by bit as text of zeros and ones; it shares nothing with the readers under test.

Layouts: IAB Tech Lab, "Transparency and Consent String with Global Vendor & CMP List Formats" 2.x, "Global Privacy
Platform String" 1.0, and the technical specifications of the US sections.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
UPDATED_US = 1_699_900_000_000_000
EVERY_PURPOSE = frozenset(range(1, 12))
Ranges = Sequence[tuple[int, int]]


def number(value: int, width: int) -> str:
    text = format(value, "b").rjust(width, "0")
    assert len(text) == width, f"{value} needs more than {width} bits"
    return text


def chars(bits: str) -> str:
    padded = bits + "0" * (-len(bits) % 6)
    return "".join(ALPHABET[int(padded[at : at + 6], 2)] for at in range(0, len(padded), 6))


def marks(ids: Collection[int], width: int) -> str:
    return "".join("1" if place in ids else "0" for place in range(1, width + 1))


def letters(text: str) -> str:
    return "".join(number(ord(letter) - ord("A"), 6) for letter in text)


def ranges(spans: Ranges) -> str:
    written = [
        f"0{number(first, 16)}" if first == last else f"1{number(first, 16)}{number(last, 16)}" for first, last in spans
    ]
    return number(len(spans), 12) + "".join(written)


def spans_of(ids: Collection[int]) -> list[tuple[int, int]]:
    """Group ids into the fewest inclusive ranges."""
    spans: list[tuple[int, int]] = []
    for vendor in sorted(ids):
        if spans and spans[-1][1] == vendor - 1:
            spans[-1] = (spans[-1][0], vendor)
        else:
            spans.append((vendor, vendor))
    return spans


def vendor_list(ids: Collection[int], *, ranged: bool) -> str:
    highest = max(ids, default=0)
    return number(highest, 16) + ("1" + ranges(spans_of(ids)) if ranged else "0" + marks(ids, highest))


@dataclass(frozen=True, slots=True)
class Tc:
    """A TC string of TCF 2.2 that allows every purpose, unless told otherwise."""

    version: int = 2
    updated_us: int = UPDATED_US
    policy: int = 4
    service_specific: bool = True
    consents: Collection[int] = EVERY_PURPOSE
    interests: Collection[int] = ()
    purpose_one_treatment: bool = False
    country: str = "FR"
    vendors: Collection[int] = ()
    vendor_interests: Collection[int] = ()
    ranged: bool = False
    restrictions: Sequence[tuple[int, int, Ranges]] = ()
    disclosed: Collection[int] | None = None
    allowed: Collection[int] | None = None
    publisher: Collection[int] | None = None
    custom: Collection[int] = ()

    def core(self) -> str:
        """Write the core segment as bits."""
        when = number(self.updated_us // 100_000, 36)
        return "".join(
            (
                number(self.version, 6),
                when,
                when,
                number(31, 12),
                number(640, 12),
                number(1, 6),
                letters("EN"),
                number(126, 12),
                number(self.policy, 6),
                "1" if self.service_specific else "0",
                "0",
                marks({1}, 12),
                marks(self.consents, 24),
                marks(self.interests, 24),
                "1" if self.purpose_one_treatment else "0",
                letters(self.country),
                vendor_list(self.vendors, ranged=self.ranged),
                vendor_list(self.vendor_interests, ranged=self.ranged),
                number(len(self.restrictions), 12),
                *(number(purpose, 6) + number(kind, 2) + ranges(spans) for purpose, kind, spans in self.restrictions),
            )
        )

    def text(self) -> str:
        """Write the whole string."""
        segments = [self.core()]
        if self.disclosed is not None:
            segments.append(number(1, 3) + vendor_list(self.disclosed, ranged=self.ranged))
        if self.allowed is not None:
            segments.append(number(2, 3) + vendor_list(self.allowed, ranged=self.ranged))
        if self.publisher is not None:
            count = max(self.custom, default=0)
            own = marks(self.publisher, 24) + marks(self.publisher, 24)
            segments.append(number(3, 3) + own + number(count, 6) + 2 * marks(self.custom, count))
        return ".".join(chars(segment) for segment in segments)


def fibonacci(value: int) -> str:
    """Write a number as a sum of Fibonacci numbers, greatest first, and end it with a second one."""
    places = [1, 2]
    while places[-1] <= value:
        places.append(places[-1] + places[-2])
    code = ["0"] * len(places)
    for place in reversed(range(len(places))):
        if places[place] <= value:
            value -= places[place]
            code[place] = "1"
    return "".join(code).rstrip("0") + "1"


def gpp_header(ids: Sequence[int], *, grouped: bool = True, version: int = 1) -> str:
    last, items = 0, []
    spans = spans_of(ids) if grouped else [(one, one) for one in ids]
    for first, end in spans:
        length = "" if first == end else fibonacci(end - first)
        items.append(("1" if length else "0") + fibonacci(first - last) + length)
        last = end
    return chars(number(3, 6) + number(version, 6) + number(len(items), 12) + "".join(items))


def gpp(sections: dict[int, str], *, grouped: bool = True) -> str:
    ids = sorted(sections)
    return "~".join([gpp_header(ids, grouped=grouped), *(sections[one] for one in ids)])


US_LISTS = ("notices", "opt_outs", "sensitive", "children", "personal", "mspa")


@dataclass(frozen=True, slots=True)
class Us:
    """A US section in which notice was given and nobody opted out; lists hold the section's own numbers."""

    version: int
    notices: Sequence[int]
    opt_outs: Sequence[int]
    sensitive: Sequence[int]
    children: Sequence[int]
    personal: Sequence[int] = ()
    mspa: Sequence[int] = (2, 0, 0)
    gpc: bool | None = None

    def having(self, part: str, values: Sequence[int]) -> "Us":
        """Change one list of fields."""
        parts = {name: getattr(self, name) for name in US_LISTS} | {part: values}
        return Us(self.version, **parts, gpc=self.gpc)

    def text(self) -> str:
        """Write core and GPC segments."""
        fields = (*self.notices, *self.opt_outs, *self.sensitive, *self.children, *self.personal, *self.mspa)
        core = chars(number(self.version, 6) + "".join(number(value, 2) for value in fields))
        return core if self.gpc is None else f"{core}.{chars(number(1, 2) + str(int(self.gpc)))}"


US_SECTIONS: dict[str, tuple[int, Us]] = {
    "usnat 1": (7, Us(1, [1] * 6, [2] * 3, [0] * 12, [0] * 2, [0])),
    "usnat 1, long": (7, Us(1, [1] * 6, [2] * 3, [0] * 16, [0] * 3, [0])),
    "usnat 2": (7, Us(2, [1] * 6, [2] * 3, [0] * 16, [0] * 3, [0])),
    "usca": (8, Us(1, [1] * 3, [2] * 2, [0] * 9, [0] * 2, [0])),
    "usva": (9, Us(1, [1] * 3, [2] * 2, [0] * 8, [0])),
    "usco": (10, Us(1, [1] * 3, [2] * 2, [0] * 7, [0])),
    "usut": (11, Us(1, [1] * 4, [2] * 2, [0] * 8, [0])),
    "usct": (12, Us(1, [1] * 3, [2] * 2, [0] * 8, [0] * 3)),
}
