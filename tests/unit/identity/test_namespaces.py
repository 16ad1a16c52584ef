import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.keys import KeyHasher, UnknownNamespaceError
from bihuan_identity.domain.namespaces import Scope, ValueRefusedError, find_namespace

PEPPER = bytes(range(32))
DIGEST = hashlib.sha256(b"user@example.com")
UUID = "AEBE52E7-03EE-455A-B3C4-E57283966239"


def key(namespace: str, value: str) -> bytes:
    return KeyHasher(PEPPER).identify(namespace, value).key


@pytest.mark.parametrize(
    ("namespace", "one", "other"),
    [
        ("email_sha256", DIGEST.hexdigest(), DIGEST.hexdigest().upper()),
        ("email_sha256", DIGEST.hexdigest(), base64.b64encode(DIGEST.digest()).decode()),
        ("phone_sha256", DIGEST.hexdigest(), base64.urlsafe_b64encode(DIGEST.digest()).decode()),
        ("idfa", UUID, UUID.lower()),
        ("gaid", UUID, UUID.replace("-", "")),
        ("oaid", UUID, UUID.lower()),
        ("login", "zoe\u0301", " zo\u00e9 "),
        ("cookie", "abc", "abc "),
    ],
)
def test_forms_of_one_value_have_one_key(namespace: str, one: str, other: str) -> None:
    assert key(namespace, one) == key(namespace, other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("cookie", "abc"), ("cookie", "ABC")),
        (("cookie", "abc"), ("login", "abc")),
        (("email_sha256", DIGEST.hexdigest()), ("phone_sha256", DIGEST.hexdigest())),
        (("partner.acme", "1234"), ("partner.other", "1234")),
    ],
)
def test_namespaces_and_case_keep_values_apart(one: tuple[str, str], other: tuple[str, str]) -> None:
    assert key(*one) != key(*other)


@pytest.mark.parametrize(
    ("namespace", "value"),
    [
        ("email_sha256", "user@example.com"),
        ("email_sha256", DIGEST.hexdigest()[:-1]),
        ("email_sha256", DIGEST.hexdigest() + "0"),
        ("email_sha256", base64.b64encode(DIGEST.digest()[:-1]).decode()),
        ("email_sha256", "0" * 64),
        ("email_sha256", hashlib.sha256(b"").hexdigest()),
        ("phone_sha256", "+8613800138000"),
        ("idfa", "00000000-0000-0000-0000-000000000000"),
        ("gaid", "00000000000000000000000000000000"),
        ("gaid", "not-a-uuid"),
        ("idfa", UUID[:-1]),
        ("idfa", UUID.replace("-", "", 1)),
        ("oaid", "0" * 16),
        ("oaid", "xyz"),
        ("cookie", "two words"),
        ("cookie", "line\nbreak"),
        ("cookie", "undefined"),
        ("cookie", "x" * 257),
        ("cookie", "   "),
        ("login", "  "),
        ("login", "a\x00b"),
        ("login", "NULL"),
        ("household", "0"),
        ("partner.acme", "unknown"),
    ],
)
def test_malformed_and_placeholder_values_are_refused_without_being_repeated(namespace: str, value: str) -> None:
    with pytest.raises(ValueRefusedError) as refusal:
        key(namespace, value)
    assert not value.strip() or len(value) == 1 or value not in str(refusal.value)


@pytest.mark.parametrize(
    "name", ["email", "partner.", "partner.a.b", "partner.-x", "partner." + "x" * 41, "Cookie", ""]
)
def test_undeclared_namespaces_are_unknown(name: str) -> None:
    with pytest.raises(UnknownNamespaceError):
        key(name, "value")


def test_household_ids_are_trusted_least() -> None:
    household = find_namespace("household")
    assert household is not None
    assert household.scope is Scope.HOUSEHOLD
    for name in ("login", "email_sha256", "phone_sha256", "idfa", "gaid", "oaid", "cookie", "partner.acme"):
        other = find_namespace(name)
        assert other is not None
        assert other.trust_ppm > household.trust_ppm


@given(st.sampled_from(["login", "cookie", "idfa", "oaid", "email_sha256", "household", "partner.x"]), st.text())
def test_any_text_is_keyed_or_refused(namespace: str, value: str) -> None:
    try:
        found = KeyHasher(PEPPER).identify(namespace, value)
    except ValueRefusedError:
        return
    assert len(found.key) == 16
