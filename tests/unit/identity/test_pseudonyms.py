"""Tokens: one person is one token a partner and epoch, and nobody else's."""

import hashlib
import hmac
from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from hypothesis import assume, given
from hypothesis import strategies as st

from bihuan_identity.domain.pseudonyms import (
    OVERLAP_US,
    MasterKey,
    OpenToken,
    PseudonymKeys,
    TokenNotGenuineError,
    derive_key,
)
from bihuan_shared.clock import DAY_US, parse_rfc3339_us
from tests.unit.identity.partner_fakes import FIRST, ROTATION_US, SECOND, START_US

KEYS = PseudonymKeys([SECOND, FIRST])
partners = st.from_regex(r"[a-z][a-z0-9_.-]{0,63}", fullmatch=True)
person_ids = st.integers(min_value=1, max_value=2**64 - 1)
epochs = st.sampled_from([1, 2])
TOKEN_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def opens(partner: str, token: str) -> bool:
    try:
        KEYS.open(partner, token)
    except TokenNotGenuineError:
        return False
    return True


@given(partners, person_ids, epochs)
def test_a_token_is_one_fixed_text_and_opens_to_its_person(partner: str, person_id: int, epoch: int) -> None:
    token = KEYS.seal(partner, person_id, epoch)
    assert token == KEYS.seal(partner, person_id, epoch)
    assert len(token) == 36
    assert set(token) <= set(TOKEN_ALPHABET)
    assert KEYS.open(partner, token) == OpenToken(person_id, epoch)


@given(partners, partners, person_ids, epochs)
def test_a_partner_never_opens_the_token_of_another(mine: str, other: str, person_id: int, epoch: int) -> None:
    assume(mine != other)
    token = KEYS.seal(other, person_id, epoch)
    assert not opens(mine, token)
    assert token != KEYS.seal(mine, person_id, epoch)


@given(partners, person_ids, epochs, st.integers(0, 27 * 8 - 1))
def test_a_token_with_any_bit_changed_opens_nowhere(partner: str, person_id: int, epoch: int, bit: int) -> None:
    raw = bytearray(urlsafe_b64decode(KEYS.seal(partner, person_id, epoch)))
    raw[bit // 8] ^= 1 << bit % 8
    assert not opens(partner, urlsafe_b64encode(raw).decode())


@given(partners, st.one_of(st.text(max_size=64), st.text(TOKEN_ALPHABET, min_size=36, max_size=36)))
def test_text_that_was_not_issued_opens_nowhere(partner: str, text: str) -> None:
    assert not opens(partner, text)
    assert not opens(partner, KEYS.seal(partner, 7, 1) + text[:1] + "=")


@given(st.sets(person_ids, min_size=2, max_size=50), partners)
def test_different_persons_have_different_tokens_in_every_epoch(persons: set[int], partner: str) -> None:
    tokens = {KEYS.seal(partner, person_id, epoch) for person_id in persons for epoch in (1, 2)}
    assert len(tokens) == 2 * len(persons)


@given(person_ids)
def test_tokens_of_one_person_share_no_more_than_chance(person_id: int) -> None:
    """Beyond the three header bytes, two partners' tokens agree in about half of their bits, as random ones do."""
    bodies = [
        int.from_bytes(urlsafe_b64decode(KEYS.seal(partner, person_id, 1))[3:], "big") for partner in ("dsp", "shop")
    ]
    assert 50 < (bodies[0] ^ bodies[1]).bit_count() < 142


def test_keys_of_partners_and_epochs_are_all_different() -> None:
    derived = {
        derive_key(master, partner, epoch)
        for master in (FIRST.secret, SECOND.secret)
        for partner in ("a", "b", "ab", "\x00a")
        for epoch in (1, 2)
    }
    assert len(derived) == 16


def test_the_construction_is_hkdf_and_siv_as_published() -> None:
    """Made again from RFC 5869 by hand, so that tokens outlive any rewrite."""
    info = b"bihuan.identity.pseudonym.v1\0" + b"\0\1" + b"dsp"
    extracted = hmac.digest(bytes(32), FIRST.secret, hashlib.sha256)
    first = hmac.digest(extracted, info + b"\1", hashlib.sha256)
    key = first + hmac.digest(extracted, first + info + b"\2", hashlib.sha256)
    sealed = AESSIV(key).encrypt((7).to_bytes(8, "big"), [b"\1\0\1", b"dsp"])
    token = KEYS.seal("dsp", 7, 1)
    assert token == urlsafe_b64encode(b"\1\0\1" + sealed).decode()
    assert token == "AQABJgLQueMr-MSRlJyhuEJTKvOZBA8NYCY-"


def test_time_line_of_a_rotation() -> None:
    day = DAY_US
    assert KEYS.epoch_at(0) == 1, "before the first activation the oldest key serves"
    assert KEYS.epoch_at(ROTATION_US - 1) == 1
    assert KEYS.epoch_at(ROTATION_US) == 2
    assert (KEYS.refresh_time_us(1), KEYS.expire_time_us(1)) == (ROTATION_US, ROTATION_US + 90 * day)
    assert (KEYS.refresh_time_us(2), KEYS.expire_time_us(2)) == (None, None)
    assert not KEYS.is_retired(1, ROTATION_US + OVERLAP_US - 1)
    assert KEYS.is_retired(1, ROTATION_US + OVERLAP_US)
    assert not KEYS.is_retired(2, ROTATION_US + 10_000 * day)


def test_keys_are_read_from_one_line() -> None:
    text = ",".join(
        f"{key.epoch}@{when}:{b64encode(key.secret).decode()}"
        for key, when in ((SECOND, "2026-11-01T08:00:00+08:00"), (FIRST, "1970-01-01T00:00:00Z"))
    )
    keys = PseudonymKeys.parse(text)
    assert keys.refresh_time_us(1) == parse_rfc3339_us("2026-11-01T00:00:00Z")
    assert keys.open("dsp", KEYS.seal("dsp", 7, 2)) == OpenToken(7, 2)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "1",
        "1@1970-01-01T00:00:00Z",
        "1@yesterday:" + b64encode(FIRST.secret).decode(),
        "x@1970-01-01T00:00:00Z:" + b64encode(FIRST.secret).decode(),
        "0@1970-01-01T00:00:00Z:" + b64encode(FIRST.secret).decode(),
        "65536@1970-01-01T00:00:00Z:" + b64encode(FIRST.secret).decode(),
        "1@1970-01-01T00:00:00Z:!!",
        "1@1970-01-01T00:00:00Z:" + b64encode(FIRST.secret[:31]).decode(),
    ],
)
def test_a_malformed_line_of_keys_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(ValueError) as refused:
        PseudonymKeys.parse(text)
    assert b64encode(FIRST.secret).decode()[:12] not in str(refused.value)


@pytest.mark.parametrize(
    "keys",
    [
        [],
        [FIRST, SECOND],
        [MasterKey(2, START_US, SECOND.secret), FIRST],
        [MasterKey(1, ROTATION_US, SECOND.secret), FIRST],
        [MasterKey(2, ROTATION_US, FIRST.secret), FIRST],
    ],
)
def test_keys_that_are_no_time_line_are_refused(keys: list[MasterKey]) -> None:
    with pytest.raises(ValueError):
        PseudonymKeys(keys)


def test_secrets_do_not_show() -> None:
    assert "secret" not in repr(FIRST)
