import base64
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import KeyedIdentifier
from bihuan_identity.domain.keys import UnknownNamespaceError
from bihuan_identity.domain.namespaces import DECLARED, ValueRefusedError, find_namespace
from tests.unit.identity.keying import HASHER, assert_refused, canonical, key

DIGEST = hashlib.sha256(b"user@example.com")
UUID = "AEBE52E7-03EE-455A-B3C4-E57283966239"
OPENID = "wx8888888888888888:oLVPpjqs9BhvzwPj5A-vTYAX3GLc"
UNIONID = "o6_bmasdasdsad6_2sgVt7hMZOPfL"
NAMES = sorted(
    {declared.name.replace("partner.*", "partner.acme").replace("eid.*", "eid.uidapi.com") for declared in DECLARED}
)


@pytest.mark.parametrize(
    ("namespace", "one", "other"),
    [
        ("email_sha256", DIGEST.hexdigest(), DIGEST.hexdigest().upper()),
        ("email_sha256", DIGEST.hexdigest(), base64.b64encode(DIGEST.digest()).decode()),
        ("phone_sha256", DIGEST.hexdigest(), base64.urlsafe_b64encode(DIGEST.digest()).decode()),
        ("email_meta_sha256", DIGEST.hexdigest(), DIGEST.hexdigest().upper()),
        ("idfa", UUID, UUID.lower()),
        ("gaid", UUID, UUID.replace("-", "")),
        ("android_id", "d0d4845ae4495a83", "D0D4845AE4495A83"),
        ("imei", "868049039501257", "86804903950125"),
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
        (("email_sha256", DIGEST.hexdigest()), ("email_meta_sha256", DIGEST.hexdigest())),
        (("phone_sha256", DIGEST.hexdigest()), ("phone_meta_sha256", DIGEST.hexdigest())),
        (("idfa", UUID), ("gaid", UUID)),
        (("oaid", UUID), ("oaid", UUID.lower())),
        (("partner.acme", "1234"), ("partner.other", "1234")),
        (("eid.uidapi.com", "1234"), ("eid.id5-sync.com", "1234")),
        (("wechat_openid", OPENID), ("wechat_openid", OPENID.replace("wx8", "wx9"))),
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
        ("email_sha256", "f" * 64),
        ("email_sha256", hashlib.sha256(b"").hexdigest()),
        ("email_sha256", base64.b64encode(hashlib.sha256(b"").digest()).decode()),
        ("email_sha256", hashlib.sha256(b"null").hexdigest()),
        ("email_meta_sha256", base64.b64encode(DIGEST.digest()).decode()),
        ("email_meta_sha256", hashlib.sha256(b"").hexdigest()),
        ("phone_sha256", "+8613800138000"),
        ("cookie", "two words"),
        ("cookie", "line\nbreak"),
        ("cookie", "undefined"),
        ("cookie", "x" * 257),
        ("cookie", "   "),
        ("cookie", "-0-0"),
        ("cookie", "aaaa-aaaa"),
        ("cookie", "__COOKIE__"),
        ("cookie", "${UID}"),
        ("cookie", "%%USER%%"),
        ("login", "  "),
        ("login", "a\x00b"),
        ("login", "NULL"),
        ("household", "0"),
        ("partner.acme", "unknown"),
        ("partner.acme", "{user_id}"),
        ("eid.uidapi.com", "optout"),
        ("eid.uidapi.com", "x" * 513),
        ("eid.id5-sync.com", "0"),
        ("wechat_openid", "oLVPpjqs9BhvzwPj5A-vTYAX3GLc"),
        ("wechat_openid", "wx123:oLVPpjqs9BhvzwPj5A-vTYAX3GLc"),
        ("wechat_openid", "wx8888888888888888:short"),
        ("wechat_openid", f"wx8888888888888888:{'o' * 28}"),
        ("wechat_unionid", "o6 bmasdasdsad6_2sgVt7hMZOPfL"),
        ("wechat_unionid", "-" * 28),
    ],
)
def test_malformed_and_placeholder_values_are_refused_without_being_repeated(namespace: str, value: str) -> None:
    assert_refused(namespace, value)


@pytest.mark.parametrize(
    ("namespace", "value"),
    [
        # Account names and numbers that people do have.
        ("login", "88888888"),
        ("login", "[joe]"),
        ("login", "__joe__"),
        ("email", "88888888@qq.com"),
        ("cookie", "1111111"),
        ("cookie", "__gads"),
        ("wechat_openid", OPENID),
        ("wechat_unionid", UNIONID),
        ("eid.liveramp.com", "x" * 511 + "y"),
    ],
)
def test_odd_values_that_name_somebody_are_taken(namespace: str, value: str) -> None:
    assert len(key(namespace, value)) == 16


@pytest.mark.parametrize(
    "name",
    [
        "e-mail",
        "email_md5",
        "partner.",
        "partner.*",
        "partner.a.b",
        "partner.-x",
        "partner." + "x" * 41,
        "eid.",
        "eid.*",
        "eid.localhost",
        "eid..com",
        "eid.-a.com",
        "eid.UIDAPI.com",
        "eid.a_b.com",
        "eid." + "x" * 57 + ".com",
        "Cookie",
        "",
    ],
)
def test_undeclared_namespaces_are_unknown(name: str) -> None:
    assert find_namespace(name) is None
    with pytest.raises(UnknownNamespaceError):
        key(name, "value")


def test_longest_source_of_eids_is_declared() -> None:
    name = "eid." + "x" * 56 + ".com"
    assert len(name) == 64
    assert find_namespace(name) is not None


def test_an_identifier_carries_what_is_declared_for_it() -> None:
    found = HASHER.identify("cookie", "abc")
    cookie = find_namespace("cookie")
    assert cookie is not None
    expected = KeyedIdentifier(found.key, "cookie", cookie.trust_ppm, cookie.max_degree, None, cookie.ttl_us)
    assert found == expected


@given(st.sampled_from(NAMES), st.text())
def test_any_text_is_keyed_or_refused(namespace: str, value: str) -> None:
    try:
        found = HASHER.identify(namespace, value)
    except ValueRefusedError:
        return
    assert len(found.key) == 16


@given(st.sampled_from(NAMES), st.one_of(st.text(), st.text("0123456789abcdefABCDEF-+@.: wx", max_size=80)))
def test_normalising_twice_changes_nothing(namespace: str, value: str) -> None:
    try:
        once = canonical(namespace, value)
    except ValueRefusedError:
        return
    assert canonical(namespace, once) == once
