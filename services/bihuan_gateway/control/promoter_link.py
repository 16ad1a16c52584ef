"""
A promoter's link: what `/t/p/{link}` carries, readable by nobody but the platform.

Many people follow one link, so that it is no token of an event: it is sealed under the keys of tracking tokens as a
form of its own, and each visit through it gets a token of its own.
"""

from dataclasses import astuple, dataclass

import msgspec

from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.tokens import LINK_FORM, KeyRing, TokenInvalid

LINK_LIFE_US = 180 * DAY_US
"""How long a link leads somewhere: as long as the longest-lived token, so that keys can be retired alike."""
_Payload = tuple[str, str, str, str, str, int]
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Payload)


@dataclass(frozen=True, slots=True)
class PromoterLink:
    """Whose link it is and what it promotes; it is good until, and not at, `expire_time_us`."""

    link_id: str
    promoter_id: str
    campaign_id: str
    creative_id: str
    sub_id: str
    expire_time_us: int


@dataclass(frozen=True, slots=True)
class IssuedLink:
    """A link as it was given out: `sealed` is its text."""

    link: PromoterLink
    sealed: str
    create_time_us: int


def seal_link(keys: KeyRing, link: PromoterLink, nonce: bytes) -> str:
    """Seal a link as URL-safe text; `nonce` as for tokens."""
    return keys.seal_payload(LINK_FORM, _encoder.encode(astuple(link)), nonce)


def open_link(keys: KeyRing, text: str, now_us: int) -> PromoterLink:
    """Open a link; InvalidArgument, TOKEN_INVALID where it is not genuine and TOKEN_EXPIRED where it is too old."""
    try:
        link = PromoterLink(*_decoder.decode(keys.open_payload(LINK_FORM, text)))
    except msgspec.DecodeError:
        raise TokenInvalid("the link's content is not of this version") from None
    if now_us >= link.expire_time_us:
        raise InvalidArgument("the link has expired", reason="TOKEN_EXPIRED")
    return link
