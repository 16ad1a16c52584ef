import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.keys import KeyHasher, Pepper

ONE, TWO, THREE = (Pepper(epoch, bytes([epoch] * 32)) for epoch in (1, 2, 3))
SECRETS = st.binary(min_size=32, max_size=32)


def truncated_hmac(secret: bytes, message: str) -> bytes:
    return hmac.digest(secret, message.encode(), "sha256")[:16]


@given(SECRETS, st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=9))
def test_key_is_truncated_hmac_sha256_of_namespace_and_value(secret: bytes, value: str) -> None:
    # The letter keeps the value from being a placeholder such as all zeros, or a macro.
    expected = truncated_hmac(secret, f"login\0x{value}")
    assert KeyHasher([Pepper(1, secret)]).identify("login", f"x{value}").key == expected


@pytest.mark.parametrize(
    ("namespace", "value", "message"),
    [
        ("cookie", " ck-1 ", "cookie\0ck-1"),
        ("household", "h-1", "household\0h-1"),
        ("partner.acme", "A1", "partner.acme\0A1"),
        ("email_sha256", "AB" * 31 + "12", "email_sha256\0" + "ab" * 31 + "12"),
        ("imei", "86804903950125", "imei_md5\0008d3ebd3654fb46a2832296669cf1b536"),
    ],
)
def test_what_is_hashed_stays_as_it_is_or_nobody_is_recognised(namespace: str, value: str, message: str) -> None:
    assert KeyHasher([ONE]).identify(namespace, value).key == truncated_hmac(ONE.secret, message)


@given(SECRETS, SECRETS)
def test_both_keys_are_those_of_a_hasher_of_that_epoch_alone(current: bytes, previous: bytes) -> None:
    if current == previous:
        return
    found = KeyHasher([Pepper(8, current), Pepper(7, previous)]).identify("cookie", "abc")
    assert found.key == KeyHasher([Pepper(8, current)]).identify("cookie", "abc").key
    assert found.previous_key == KeyHasher([Pepper(7, previous)]).identify("cookie", "abc").key


def test_after_a_rotation_the_former_key_is_the_previous_one() -> None:
    before = KeyHasher([ONE]).identify("login", "anna")
    after = KeyHasher([TWO, ONE]).identify("login", "anna")
    later = KeyHasher([THREE, TWO]).identify("login", "anna")
    assert before.previous_key is None
    assert (after.previous_key, later.previous_key) == (before.key, after.key)
    assert len({before.key, after.key, later.key}) == 3


def test_the_hasher_knows_its_epochs() -> None:
    rotating, settled = KeyHasher([THREE, ONE]), KeyHasher([TWO])
    assert (rotating.epoch, rotating.previous_epoch) == (3, 1)
    assert (settled.epoch, settled.previous_epoch) == (2, None)


@pytest.mark.parametrize(
    ("peppers", "why"),
    [
        ([], "at most one previous"),
        ([THREE, TWO, ONE], "at most one previous"),
        ([ONE, TWO], "comes first"),
        ([TWO, Pepper(2, bytes(32))], "comes first"),
        ([Pepper(2, ONE.secret), ONE], "share a pepper"),
    ],
)
def test_peppers_that_do_not_follow_each_other_are_refused(peppers: list[Pepper], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        KeyHasher(peppers)


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_pepper_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        Pepper(1, bytes(size))


@pytest.mark.parametrize("epoch", [-1, 0, 256])
def test_epochs_lie_between_1_and_255(epoch: int) -> None:
    with pytest.raises(ValueError, match="between 1 and 255"):
        Pepper(epoch, bytes(32))


def test_a_pepper_does_not_print_its_secret() -> None:
    assert repr(ONE) == "Pepper(epoch=1)"
