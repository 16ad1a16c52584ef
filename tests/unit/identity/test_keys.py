import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.keys import KeyHasher


@given(st.binary(min_size=32, max_size=32), st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=9))
def test_key_is_truncated_hmac_sha256_of_namespace_and_value(pepper: bytes, value: str) -> None:
    # The underscore keeps the value from being a placeholder such as all zeros.
    expected = hmac.digest(pepper, f"login\0_{value}".encode(), "sha256")[:16]
    assert KeyHasher(pepper).identify("login", f"_{value}").key == expected


def test_another_pepper_gives_another_key() -> None:
    one, other = KeyHasher(bytes(32)), KeyHasher(bytes([1] * 32))
    assert one.identify("login", "anna").key != other.identify("login", "anna").key


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_pepper_has_32_bytes(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        KeyHasher(bytes(size))
