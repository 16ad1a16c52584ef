"""
Sections of US privacy law in a GPP string, and the older US Privacy string: who opted out of what.

Layouts: IAB Privacy, MSPA US National section (versions 1 and 2) and the technical specifications of California,
Virginia, Colorado, Utah and Connecticut (version 1). All begin with a version of 6 bits and go on with fields of 2 bits
in one order: notices, opt-outs, sensitive data, known children, personal data (some), and three of the MSPA. A GPC
segment may follow. US Privacy string: IAB Tech Lab, "U.S. Privacy String", version 1.

These laws ask for opting out, so what nobody opted out of is allowed. TARGETING and PERSONALISATION are not, where

| field | value | meaning |
|---|---|---|
| a notice | 2 | was not provided, so that nobody could opt out |
| an opt-out of sale, sharing or targeted advertising | 1 | opted out |
| sensitive data, any category | 1 | no consent, or opted out: whether a fact of ours tells of it is not known |
| known child, any age | 1, 2 | a child is known, with or without consent: children are not targeted |
| personal data | 1 | no consent to advertising beyond what was disclosed |
| MspaServiceProviderMode | 1 | data is processed for the publisher alone |
| Gpc | true | the browser opts out everywhere |
| US Privacy: notice, opt-out | `N`, `Y` | as above |

Not applicable (0, `-`) and "did not opt out" (2, `N`) allow. MEASUREMENT and INSIGHT, which neither sell nor share nor
target, stay.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from bihuan_shared.consent.bits import BitReader
from bihuan_shared.consent.consents import Purpose
from bihuan_shared.consent.refusal import Refusal, Refused

USP_SECTION: Final = 6
NATIONAL_SECTION: Final = 7
AFTER_OPT_OUT: Final = frozenset({Purpose.MEASUREMENT, Purpose.INSIGHT})
_MSPA_FIELDS = 3
_USP_FLAGS = 3
_NOTICE = {"-": 0, "Y": 1, "N": 2}
_SALE = {"-": 0, "Y": 1, "N": 2}
_LATEST_NATIONAL = 2
_GPC = 1
_OPTED_OUT, _NOT_PROVIDED, _SERVICE_PROVIDER, _INVALID = 1, 2, 1, 3


@dataclass(frozen=True, slots=True)
class Layout:
    """How many fields of each kind a section has; `personal` is 1 where it asks for consent to personal data."""

    notices: int
    opt_outs: int
    sensitive: int
    children: int
    personal: int = 0

    @property
    def bits(self) -> int:
        """Length of the core segment without padding."""
        fields = self.notices + self.opt_outs + self.sensitive + self.children + self.personal + _MSPA_FIELDS
        return 6 + 2 * fields


NATIONAL_1: Final = Layout(notices=6, opt_outs=3, sensitive=12, children=2, personal=1)
NATIONAL_2: Final = Layout(notices=6, opt_outs=3, sensitive=16, children=3, personal=1)
STATES: Final = {
    8: Layout(notices=3, opt_outs=2, sensitive=9, children=2, personal=1),
    9: Layout(notices=3, opt_outs=2, sensitive=8, children=1),
    10: Layout(notices=3, opt_outs=2, sensitive=7, children=1),
    11: Layout(notices=4, opt_outs=2, sensitive=8, children=1),
    12: Layout(notices=3, opt_outs=2, sensitive=8, children=3),
}
"""California, Virginia, Colorado, Utah, Connecticut."""


@dataclass(frozen=True, slots=True)
class UsChoices:
    """What a section says, in its own numbers."""

    notices: tuple[int, ...]
    opt_outs: tuple[int, ...]
    sensitive: tuple[int, ...] = ()
    children: tuple[int, ...] = ()
    personal: tuple[int, ...] = ()
    mspa: tuple[int, ...] = (2, 0, 0)
    gpc: bool = False

    @property
    def opted_out(self) -> bool:
        """Whether advertising must not be chosen by what is known of the person."""
        return (
            self.gpc
            or _NOT_PROVIDED in self.notices
            or _OPTED_OUT in self.opt_outs + self.sensitive + self.personal
            or any(self.children)
            or self.mspa[-1] == _SERVICE_PROVIDER
        )


def us_purposes(choices: UsChoices) -> frozenset[Purpose]:
    """Tell which of our purposes a section allows."""
    return AFTER_OPT_OUT if choices.opted_out else frozenset(Purpose)


def decode_us_section(section_id: int, text: str) -> UsChoices:
    """Decode section 7 to 12 of a GPP string (Refused)."""
    core, *others = text.split(".")
    reader = BitReader(core)
    layout = _layout(section_id, reader.number(6), reader.left + 6)
    choices = UsChoices(
        notices=tuple(_fields(reader, layout.notices)),
        opt_outs=tuple(_fields(reader, layout.opt_outs)),
        sensitive=tuple(_fields(reader, layout.sensitive)),
        children=tuple(_fields(reader, layout.children)),
        personal=tuple(_fields(reader, layout.personal)),
        mspa=_mspa(reader),
        gpc=_read_gpc(others),
    )
    reader.end()
    return choices


def _layout(section_id: int, version: int, bits: int) -> Layout:
    if section_id == NATIONAL_SECTION and version == 1:
        # The IAB's own encoder writes the fields of version 2 under version 1.
        return NATIONAL_1 if bits < NATIONAL_2.bits else NATIONAL_2
    if section_id == NATIONAL_SECTION and version == _LATEST_NATIONAL:
        return NATIONAL_2
    if section_id in STATES and version == 1:
        return STATES[section_id]
    raise Refused(Refusal.UNSUPPORTED_VERSION)


def _fields(reader: BitReader, count: int) -> Iterator[int]:
    for _ in range(count):
        value = reader.number(2)
        if value == _INVALID:
            raise Refused(Refusal.INVALID_VALUE)
        yield value


def _mspa(reader: BitReader) -> tuple[int, ...]:
    covered, *modes = _fields(reader, _MSPA_FIELDS)
    if not covered:
        # MspaCoveredTransaction is yes or no; a string that was cut or shifted is likely to show here.
        raise Refused(Refusal.INVALID_VALUE)
    return covered, *modes


def _read_gpc(texts: list[str]) -> bool:
    if not texts:
        return False
    if len(texts) > 1:
        raise Refused(Refusal.INVALID_VALUE)
    reader = BitReader(texts[0])
    if reader.number(2) != _GPC:
        raise Refused(Refusal.UNKNOWN_SEGMENT)
    gpc = reader.flag()
    reader.end()
    return gpc


def decode_us_privacy(text: str) -> UsChoices:
    """Decode a US Privacy string such as `1YNN`: version, notice, opt-out of sale, covered transaction (Refused)."""
    if not text.startswith("1"):
        raise Refused(Refusal.UNSUPPORTED_VERSION if text else Refusal.TRUNCATED)
    flags = text[1:]
    if not set(flags) <= set(_NOTICE):
        raise Refused(Refusal.INVALID_VALUE)
    if len(flags) != _USP_FLAGS:
        raise Refused(Refusal.TRUNCATED if len(flags) < _USP_FLAGS else Refusal.TRAILING_DATA)
    return UsChoices(notices=(_NOTICE[flags[0]],), opt_outs=(_SALE[flags[1]],))
