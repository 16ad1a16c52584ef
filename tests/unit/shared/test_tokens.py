"""Tracking tokens: opaque, unforgeable, expiring, under rotating keys."""

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import astuple, replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from bihuan_shared.errors import InvalidArgument
from bihuan_shared.tokens import (
    KEY_BYTES,
    LINK_FORM,
    MAX_TOKEN_CHARS,
    NONCE_BYTES,
    TOKEN_FORM,
    KeyRing,
    TokenExpired,
    TokenInvalid,
    TrackingToken,
    generate_key,
)

KEY_1, KEY_2 = bytes(range(32)), bytes(range(32, 64))
RING = KeyRing({"k1": KEY_1})
NONCE = b"twelve bytes"
TOKEN = TrackingToken(
    token_id="0123456789abcdef0123456789abcdef",
    decision_id="fedcba9876543210fedcba9876543210",
    creative_id="creative-visible",
    placement_id="placement-visible",
    campaign_id="campaign-visible",
    advertiser_id="advertiser-visible",
    ad_group_id="group-visible",
    terms_version=7,
    pricing_model="cpm",
    price_micros=1_234_567,
    currency="CNY",
    person_id=987_654_321,
    issue_time_us=1_000_000,
    expire_time_us=2_000_000,
    reserve_nanos=1_234_567,
    reservation_id="00000000000000000000000000000000",
)
IDS = st.one_of(
    st.text(st.characters(exclude_categories=["Cs"]), max_size=40),
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.text("0123456789abcdefABCDEF ", min_size=32, max_size=32),
)
INTEGERS = st.integers(0, 2**63 - 1)
TOKENS = st.builds(
    TrackingToken,
    **dict.fromkeys(
        ("token_id", "decision_id", "creative_id", "placement_id", "campaign_id", "advertiser_id", "ad_group_id"), IDS
    ),
    terms_version=INTEGERS,
    pricing_model=st.sampled_from(["cpm", "cpc", "cps", "cpd"]),
    price_micros=INTEGERS,
    currency=st.just("CNY"),
    person_id=st.integers(0, 2**64 - 1),
    issue_time_us=INTEGERS,
    expire_time_us=st.integers(1, 2**63 - 1),
    reserve_nanos=INTEGERS,
    reservation_id=IDS,
    sighting_id=st.integers(0, 2**64 - 1),
)


@given(TOKENS, st.binary(min_size=NONCE_BYTES, max_size=NONCE_BYTES))
def test_opening_gives_back_what_was_sealed(token: TrackingToken, nonce: bytes) -> None:
    assert RING.open(RING.seal(token, nonce), token.expire_time_us - 1) == token


@given(st.data())
def test_any_flipped_bit_is_noticed(data: st.DataObject) -> None:
    text = RING.seal(TOKEN, NONCE)
    raw = bytearray(_raw(text))
    position = data.draw(st.integers(0, 8 * len(raw) - 1))
    raw[position // 8] ^= 1 << position % 8
    with pytest.raises(TokenInvalid):
        RING.open(_text(bytes(raw)), 0)


@given(st.data())
def test_any_changed_character_is_noticed(data: st.DataObject) -> None:
    text = RING.seal(TOKEN, NONCE)
    position = data.draw(st.integers(0, len(text) - 1))
    character = data.draw(st.characters(codec="utf-8"))
    assume(character != text[position])
    with pytest.raises(TokenInvalid):
        RING.open(text[:position] + character + text[position + 1 :], 0)


@given(st.data())
def test_any_cut_or_addition_is_noticed(data: st.DataObject) -> None:
    text = RING.seal(TOKEN, NONCE)
    start, end = sorted(data.draw(st.tuples(*[st.integers(0, len(text))] * 2)))
    addition = data.draw(st.text("abcABC019-_=", max_size=8))
    changed = text[:start] + addition + text[end:]
    assume(changed != text)
    with pytest.raises(TokenInvalid):
        RING.open(changed, 0)


@given(st.integers(0, 200))
def test_splice_of_two_tokens_is_noticed(cut: int) -> None:
    first = RING.seal(TOKEN, NONCE)
    second = RING.seal(replace(TOKEN, person_id=1), b"another one.")
    spliced = first[:cut] + second[cut:]
    assume(spliced not in {first, second})
    with pytest.raises(TokenInvalid):
        RING.open(spliced, 0)


@given(st.text(max_size=200))
def test_arbitrary_text_is_no_token(text: str) -> None:
    with pytest.raises(TokenInvalid) as caught:
        RING.open(text, 0)
    assert caught.value.reason == "TOKEN_INVALID"
    assert isinstance(caught.value, InvalidArgument)


def test_token_expires_at_its_instant_and_is_still_known() -> None:
    text = RING.seal(TOKEN, NONCE)
    assert RING.open(text, TOKEN.expire_time_us - 1) == TOKEN
    with pytest.raises(TokenExpired) as caught:
        RING.open(text, TOKEN.expire_time_us)
    assert caught.value.reason == "TOKEN_EXPIRED"
    assert caught.value.token == TOKEN


def test_old_key_opens_until_it_is_retired_and_the_first_key_seals() -> None:
    old = RING.seal(TOKEN, NONCE)
    rotated = KeyRing({"k2": KEY_2, "k1": KEY_1})
    assert rotated.open(old, 0) == TOKEN
    with pytest.raises(TokenInvalid):
        KeyRing({"k2": KEY_2}).open(old, 0)
    with pytest.raises(TokenInvalid):
        RING.open(rotated.seal(TOKEN, NONCE), 0)


def test_key_id_is_bound_to_the_content() -> None:
    """The same key under another id does not open a token whose key id was rewritten."""
    raw = _raw(RING.seal(TOKEN, NONCE)).replace(b"k1", b"k9", 1)
    with pytest.raises(TokenInvalid):
        KeyRing({"k9": KEY_1}).open(_text(raw), 0)


def test_nothing_of_the_content_shows() -> None:
    text = RING.seal(TOKEN, NONCE)
    raw = _raw(text)
    for value in astuple(TOKEN):
        if isinstance(value, int):
            shown = [str(value).encode(), value.to_bytes(8, "big").lstrip(b"\0"), value.to_bytes(8, "little")]
        else:
            shown = [value.encode(), b64encode(value.encode())[:-4]]
        for form in shown:
            assert len(form) < 3 or (form not in raw and form not in text.encode())
    assert RING.seal(TOKEN, b"another one.")[10:] != text[10:]


def test_token_with_uuids_stays_short_enough_for_a_url() -> None:
    uuid = "0123456789abcdef0123456789abcdef"
    token = replace(TOKEN, creative_id=uuid, placement_id=uuid, campaign_id=uuid, advertiser_id=uuid, ad_group_id=uuid)
    assert len(RING.seal(token, NONCE)) < 300


def test_token_that_no_server_would_open_is_not_sealed() -> None:
    with pytest.raises(ValueError, match="at most"):
        RING.seal(replace(TOKEN, campaign_id="c" * MAX_TOKEN_CHARS), NONCE)
    with pytest.raises(ValueError, match="nonce"):
        RING.seal(TOKEN, b"short")


def test_ring_is_read_from_text_in_either_alphabet() -> None:
    key = bytes([251, 255] * 16)
    for encoded in (urlsafe_b64encode(key), b64encode(key), b64encode(key).rstrip(b"=")):
        ring = KeyRing.parse(f"k2:{encoded.decode()}, k1:{generate_key()}")
        assert KeyRing({"k2": key}).open(ring.seal(TOKEN, NONCE), 0) == TOKEN


@pytest.mark.parametrize(
    "text", ["", "k1", "k1:", "k1:????", f"k1:{b64encode(b'short').decode()}", "k 1:" + "A" * 43, "k1:A,k1:A", ","]
)
def test_ring_that_is_written_wrong_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        KeyRing.parse(text)
    assert "A" * 8 not in str(caught.value)


def test_generated_key_comes_from_the_given_randomness() -> None:
    assert urlsafe_b64decode(generate_key(lambda size: b"x" * size)) == b"x" * KEY_BYTES


def _raw(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()


def test_token_that_was_sealed_before_there_were_sightings_opens_without_one() -> None:
    # Sealed by the code before: 16 values, no sighting.
    sealed = (
        "AQJrMXR3ZWx2ZSBieXRlc3aF8zp1pbuIWtP6-RoA-jKzupiTYmJ_npTibTALNId6kN5XArC0D0VWwJpg0g58M2-P3GzD9JQZtF2c"
        "pOVYBZDD7cii2MpG8j5np6SVc4PrGdQM7A7d0U3ULO1SBnJ-j-KQBMo1rtX8FeZgpaJiKTxXDMGdNYN4SRw5ZMmRSdbVu8rAyqFq"
        "k2eh8gnUGqu0eiZSWTJsakw36GyPLUmgDDTNJDi-25pamUfiSa3PoMlh4a7Cw4U9bWlqvW8EY8sNfvJ84ABKFnP_"
    )
    assert RING.open(sealed, 0) == TOKEN
    assert RING.seal(TOKEN, NONCE) == sealed


def test_sighting_does_not_change_what_a_repeated_event_is_compared_by() -> None:
    assert repr(replace(TOKEN, sighting_id=7)) == repr(TOKEN)
    assert replace(TOKEN, sighting_id=7) != TOKEN


@given(st.binary(max_size=200))
def test_a_payload_opens_as_the_form_that_it_was_sealed_as_and_as_no_other(payload: bytes) -> None:
    for sealed_as, other in ((LINK_FORM, TOKEN_FORM), (TOKEN_FORM, LINK_FORM)):
        text = RING.seal_payload(sealed_as, payload, NONCE)
        assert RING.open_payload(sealed_as, text) == payload
        with pytest.raises(TokenInvalid):
            RING.open_payload(other, text)
        # Not even where somebody writes the other form into it.
        raw = urlsafe_b64decode(text + "=" * (-len(text) % 4))
        changed = urlsafe_b64encode(bytes((other,)) + raw[1:]).rstrip(b"=").decode()
        with pytest.raises(TokenInvalid):
            RING.open_payload(other, changed)
