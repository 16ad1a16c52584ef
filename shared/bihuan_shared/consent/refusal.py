"""Why a consent string is not read; a string that is refused gives no consent."""

from enum import StrEnum


class Refusal(StrEnum):
    """
    What is wrong with a consent string.

    The names are told to callers and are labels of a metric, so they are kept once published.
    """

    TOO_LONG = "TOO_LONG"
    """Longer than `MAX_CHARS`; nothing of it was looked at."""
    NOT_BASE64 = "NOT_BASE64"
    """A character outside the URL-safe alphabet (`=` too: these strings are never padded)."""
    TRUNCATED = "TRUNCATED"
    """Ends before what its own lengths announce, or is empty."""
    TRAILING_DATA = "TRAILING_DATA"
    """More than padding follows what is known, so that something of it would go unread."""
    UNSUPPORTED_VERSION = "UNSUPPORTED_VERSION"
    """An encoding that is not known here."""
    POLICY_UNKNOWN = "POLICY_UNKNOWN"
    """A TCF policy other than those of TCF 2.2 and 2.3: what the person was told is not what is assumed here."""
    GLOBAL_SCOPE = "GLOBAL_SCOPE"
    """A TC string that is not service-specific, which TCF declares invalid."""
    INVALID_VALUE = "INVALID_VALUE"
    """A field has a value that its specification does not know."""
    UNKNOWN_SEGMENT = "UNKNOWN_SEGMENT"
    """A segment of a kind that is not known here."""
    EXPIRED = "EXPIRED"
    """Last updated more than thirteen months ago."""
    VENDOR_NOT_ALLOWED = "VENDOR_NOT_ALLOWED"
    """Our vendor id has neither consent nor legitimate interest, or was not disclosed."""
    INVALID_HEADER = "INVALID_HEADER"
    """Begins with no GPP header, or with one that lists not the sections that follow."""
    SECTION_MISSING = "SECTION_MISSING"
    """A section that is said to apply is not in the GPP string, or the string has none."""
    UNSUPPORTED_SECTION = "UNSUPPORTED_SECTION"
    """A section that applies, or may apply, cannot be read here."""
    NOT_APPLICABLE = "NOT_APPLICABLE"
    """`gpp_sid` says that no section applies, or that it is not known which: the string says nothing of the person."""


class Refused(Exception):  # noqa: N818  # it ends the reading of a string; nobody outside this package sees it
    """Ends the reading of a string."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal
