"""Kinds of values that callers may set: their bounds, and the one way they are written."""

import re
from typing import Annotated
from urllib.parse import urlsplit
from zoneinfo import available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StrictInt, StringConstraints

from bihuan_shared.clock import format_rfc3339, parse_rfc3339_us

MAX_BID_MICROS = 10**12
MAX_AMOUNT_MICROS = 10**15
MAX_LANDING_URL_CHARS = 2048
MAX_PIXELS = 10_000
MAX_TAG_BYTES = 96
MAX_ITEM_BYTES = 128
MAX_SUB_ID_CHARS = 80
ID_PATTERN = r"^[a-z0-9][a-z0-9_.-]{0,63}$"

_HOST = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.)*[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?\.?")
_URL_CHARS = re.compile(r"[!#-;=?-\[\]_a-z~]+")


class Spec(BaseModel):
    """What a caller sets of a resource. Frozen; a field that is not declared is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def _known_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError("not an IANA time zone")
    return name


def _normal_time(text: str) -> str:
    moment_us = parse_rfc3339_us(text)
    if moment_us < 0:
        raise ValueError("before 1970")
    return format_rfc3339(moment_us)


def _short_enough(tag: str) -> str:
    if len(tag.encode()) > MAX_TAG_BYTES:
        raise ValueError(f"longer than {MAX_TAG_BYTES} bytes")
    return tag


def _short_enough_name(name: str) -> str:
    if len(name.encode()) > MAX_ITEM_BYTES:
        raise ValueError(f"longer than {MAX_ITEM_BYTES} bytes")
    return name


def _landing_url(url: str) -> str:
    if not _URL_CHARS.fullmatch(url):
        raise ValueError("holds a character that a URL may not hold unescaped")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    if parts.scheme not in {"http", "https"} or not url.lower().startswith(f"{parts.scheme}://"):
        raise ValueError("must be an absolute http or https URL")
    if "@" in parts.netloc:
        raise ValueError("must not hold user information")
    if not parts.hostname or not _HOST.fullmatch(parts.hostname) or port == 0:
        raise ValueError("must name a host")
    return url


ResourceId = Annotated[str, StringConstraints(pattern=ID_PATTERN, max_length=64)]
DisplayName = Annotated[str, StringConstraints(min_length=1, max_length=256)]
Currency = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
TimeZone = Annotated[str, StringConstraints(max_length=64), AfterValidator(_known_time_zone)]
Moment = Annotated[
    str,
    StringConstraints(max_length=40),
    AfterValidator(_normal_time),
    Field(json_schema_extra={"format": "date-time"}),
]
BidMicros = Annotated[StrictInt, Field(ge=0, le=MAX_BID_MICROS)]
AmountMicros = Annotated[StrictInt, Field(ge=0, le=MAX_AMOUNT_MICROS)]
Ppm = Annotated[StrictInt, Field(ge=0, le=1_000_000)]
Pixels = Annotated[StrictInt, Field(ge=0, le=MAX_PIXELS)]
Tag = Annotated[str, StringConstraints(min_length=1, max_length=96), AfterValidator(_short_enough)]
Item = Annotated[str, StringConstraints(min_length=1, max_length=MAX_ITEM_BYTES), AfterValidator(_short_enough_name)]
"""An item or a shop, as orders name it."""
SubId = Annotated[str, StringConstraints(max_length=MAX_SUB_ID_CHARS, pattern=r"^[^\x00-\x1f\x7f]*$")]
"""A promoter's own name of a channel."""
Keyword = Annotated[str, StringConstraints(min_length=1, max_length=128)]
Label = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_.-]{0,63}$")]
LandingUrl = Annotated[
    str, StringConstraints(min_length=1, max_length=MAX_LANDING_URL_CHARS), AfterValidator(_landing_url)
]
