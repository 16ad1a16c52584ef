"""
Tracking tokens: what an impression or click URL carries, readable by nobody but the platform.

A token is `form ‖ key id ‖ nonce ‖ AES-256-GCM(payload)` in URL-safe base64 without padding. Form and key id are bound
as associated data, so that what was sealed as one form never opens as another. Nothing in the text shows a price or a
stable pseudonym.
"""

import binascii
import re
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from operator import attrgetter
from typing import Final, Self

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from bihuan_shared.errors import InvalidArgument

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_TOKEN_CHARS: Final = 2_048

TOKEN_FORM: Final = 1
"""What a tracking token begins with."""
LINK_FORM: Final = 2
"""What a promoter's link begins with: it names no event, and no server takes it for one."""
_TAG_BYTES: Final = 16
_HEADER_BYTES: Final = 2
_COMPACT_ID_CHARS: Final = 32
_KEY_ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,32}", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrackingToken:
    """
    What one served advertisement means for measurement and billing.

    `pricing_model` is `cpm`, `cpc`, `cps` or `cpd`; `price_micros` is per thousand for CPM, per click for CPC.
    `person_id` is 0 where no person may be stored; `sighting_id` names the identifier that led to that person, 0 where
    none is known. Times are microseconds since the epoch; the token is good until, and not at, `expire_time_us`.
    """

    token_id: str
    decision_id: str
    creative_id: str
    placement_id: str
    campaign_id: str
    advertiser_id: str
    ad_group_id: str
    terms_version: int
    pricing_model: str
    price_micros: int
    currency: str
    person_id: int
    issue_time_us: int
    expire_time_us: int
    reserve_nanos: int
    reservation_id: str
    # Not in the text of a token that a repeated event is compared by: what was committed before there were sightings
    # must stay the same.
    sighting_id: int = field(default=0, repr=False)
    # Whose link it was (CPS) with the promoter's own sub-id, and the audience that put the person into the ad group.
    promoter_id: str = field(default="", repr=False)
    sub_id: str = field(default="", repr=False)
    audience_id: str = field(default="", repr=False)


class TokenInvalid(InvalidArgument):
    """The text is forged, damaged, or sealed with a key that is not known (any more)."""

    default_reason = "TOKEN_INVALID"


class TokenExpired(InvalidArgument):
    """The token is genuine and past its life; `token` holds it, so that the rejection can be recorded."""

    default_reason = "TOKEN_EXPIRED"

    def __init__(self, detail: str, token: TrackingToken) -> None:
        super().__init__(detail)
        self.token = token


# The order and the types of the fields of version 1; what came later is left out where there is none, so that tokens
# sealed before still open. An id is UTF-8, or a byte that UTF-8 never has and then the 16
# bytes that its 32 hexadecimal digits say.
_HEX_MARK: Final = b"\xff"
_Payload = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, int, str, int, str, int, int, int, int, bytes]
_Sighted = tuple[bytes, bytes, bytes, bytes, bytes, bytes, bytes, int, str, int, str, int, int, int, int, bytes, int]
_Whole = tuple[
    bytes, bytes, bytes, bytes, bytes, bytes, bytes, int, str, int, str, int, int, int, int, bytes, int,
    bytes, bytes, bytes,
]  # fmt: skip
_ID_FIELDS: Final = frozenset(
    index
    for index, one in enumerate(fields(TrackingToken))
    if one.name.endswith("_id") and one.name not in ("person_id", "sighting_id")
)
_values_of: Final = attrgetter(*(one.name for one in fields(TrackingToken)))
_encoder: Final = msgspec.msgpack.Encoder()
_decoder: Final = msgspec.msgpack.Decoder(_Payload)
# By how an array begins in MessagePack: of 17 and of 20; one of 16 for all others.
_decoders: Final = {
    b"\xdc\x00\x11": msgspec.msgpack.Decoder(_Sighted),
    b"\xdc\x00\x14": msgspec.msgpack.Decoder(_Whole),
}
_HEADER_LENGTH: Final = 3


class KeyRing:
    """The keys of a deployment. The first seals; every one of them opens, until it is taken out of the ring."""

    __slots__ = ("_ciphers", "_sealing_key_id")

    def __init__(self, keys: Mapping[str, bytes]) -> None:
        """Take keys of 32 bytes by id, the sealing key first; ValueError for an empty ring or a wrong key."""
        if not keys:
            raise ValueError("a key ring needs at least one key")
        for key_id, key in keys.items():
            if _KEY_ID.fullmatch(key_id) is None:
                raise ValueError("a key id is 1 to 32 letters, digits, '_', '.' or '-'")
            if len(key) != KEY_BYTES:
                raise ValueError(f"key {key_id!r} must be {KEY_BYTES} bytes long")
        self._ciphers = {key_id.encode(): AESGCM(key) for key_id, key in keys.items()}
        self._sealing_key_id = next(iter(self._ciphers))

    @classmethod
    def parse(cls, text: str) -> Self:
        """
        Read `k2:<base64 of 32 bytes>,k1:<base64>`; the first seals, all open.

        Both base64 alphabets are understood. ValueError, without any key material in it, for anything else.
        """
        keys: dict[str, bytes] = {}
        for part in text.split(","):
            key_id, separator, encoded = part.strip().partition(":")
            if not separator:
                raise ValueError("a key is written as <id>:<base64 of 32 bytes>")
            if key_id in keys:
                raise ValueError(f"key id {key_id!r} occurs twice")
            try:
                keys[key_id] = _from_base64(encoded.rstrip("=").replace("+", "-").replace("/", "_"))
            except ValueError:
                raise ValueError(f"key {key_id!r} is not valid base64") from None
        return cls(keys)

    def seal(self, token: TrackingToken, nonce: bytes) -> str:
        """
        The token as URL-safe text.

        `nonce` is 12 random bytes, never used twice with one key. ValueError for another length, or for a token that
        would be longer than any server opens.
        """
        return self.seal_payload(TOKEN_FORM, _encode(token), nonce)

    def seal_payload(self, form: int, payload: bytes, nonce: bytes) -> str:
        """Seal the payload of any form; `nonce` and ValueError as in `seal`."""
        if len(nonce) != NONCE_BYTES:
            raise ValueError(f"a nonce has {NONCE_BYTES} bytes")
        key_id = self._sealing_key_id
        header = bytes((form, len(key_id))) + key_id
        sealed = self._ciphers[key_id].encrypt(nonce, payload, header)
        text = _to_base64(header + nonce + sealed)
        if len(text) > MAX_TOKEN_CHARS:
            raise ValueError(f"a token has at most {MAX_TOKEN_CHARS} characters")
        return text

    def open(self, text: str, now_us: int) -> TrackingToken:
        """The sealed token; TokenInvalid where it is not genuine, TokenExpired where `now_us` is past its life."""
        token = _decode(self.open_payload(TOKEN_FORM, text))
        if now_us >= token.expire_time_us:
            raise TokenExpired("the token has expired", token)
        return token

    def open_payload(self, form: int, text: str) -> bytes:
        """The payload that was sealed as a form; TokenInvalid where it is not genuine or of another form."""
        header, nonce, sealed = _split(form, text)
        cipher = self._ciphers.get(header[_HEADER_BYTES:])
        if cipher is None:
            raise TokenInvalid("the token is of an unknown key")
        try:
            return cipher.decrypt(nonce, sealed, header)
        except InvalidTag:
            raise TokenInvalid("the token is not genuine") from None


def generate_key(random_bytes: Callable[[int], bytes] = secrets.token_bytes) -> str:
    """A new key as URL-safe base64, to stand after `<id>:` in the setting."""
    return urlsafe_b64encode(random_bytes(KEY_BYTES)).decode()


def _split(form: int, text: str) -> tuple[bytes, bytes, bytes]:
    if len(text) > MAX_TOKEN_CHARS:
        raise TokenInvalid("the token is too long")
    try:
        raw = _from_base64(text)
    except ValueError:
        raise TokenInvalid("the token is not URL-safe base64") from None
    if len(raw) < _HEADER_BYTES or raw[0] != form:
        raise TokenInvalid("the token is of an unknown version")
    header_end = _HEADER_BYTES + raw[1]
    nonce_end = header_end + NONCE_BYTES
    if len(raw) < nonce_end + _TAG_BYTES:
        raise TokenInvalid("the token is cut off")
    return raw[:header_end], raw[header_end:nonce_end], raw[nonce_end:]


def _encode(token: TrackingToken) -> bytes:
    values = _values_of(token)
    if not (token.promoter_id or token.sub_id or token.audience_id):
        values = values[:-3] if token.sighting_id else values[:-4]
    return _encoder.encode([_pack_id(value) if index in _ID_FIELDS else value for index, value in enumerate(values)])


def _decode(payload: bytes) -> TrackingToken:
    try:
        values = _decoders.get(payload[:_HEADER_LENGTH], _decoder).decode(payload)
    except msgspec.DecodeError:
        raise TokenInvalid("the token's content is not of this version") from None
    return TrackingToken(*(_unpack_id(value) if isinstance(value, bytes) else value for value in values))  # type: ignore[arg-type]  # the decoder has checked each position's type


def _pack_id(value: str) -> bytes:
    """Short for an id that is exactly 32 lower-case hexadecimal digits, so that it comes back the same."""
    if len(value) == _COMPACT_ID_CHARS:
        with suppress(ValueError):
            packed = bytes.fromhex(value)
            if packed.hex() == value:
                return _HEX_MARK + packed
    return value.encode()


def _unpack_id(packed: bytes) -> str:
    return packed[1:].hex() if packed.startswith(_HEX_MARK) else packed.decode()


def _to_base64(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def _from_base64(text: str) -> bytes:
    """Strict: one text for one byte string, so no character may be changed without notice."""
    try:
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ValueError("not base64") from error
    if _to_base64(raw) != text:
        raise ValueError("not canonical base64")
    return raw
