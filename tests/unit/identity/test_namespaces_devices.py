"""
Device ids against what platforms publish.

Tencent Ads: https://datanexus.qq.com/doc/develop/guider/interface/user_id (IMEI, OAID) and
https://developers.e.qq.com/docs/guide/conversion/new_version/APP_api (IDFA in capitals, IMEI in lower case, OAID and
Android id as they are). Mintegral: https://helpcenter.mintegral.com/cn/docs/integration-parameter (all five, with
examples).
"""

import uuid

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.identity.keying import HASHER, assert_refused, canonical, key, key_if_taken, plain_md5

VECTORS = [
    ("imei", "868049039501257", "8d3ebd3654fb46a2832296669cf1b536"),
    ("imei", "869634020728636", "ed0427f06978ac06d73e2d6f2049aa9d"),
    ("oaid", "1fe9a970-efbb-29e0-0bdd-f5dbbf751ab5", "83e9158a4fb54c0e1ef0b238639a23ae"),
    ("idfa", "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0", "77d06cb28c1771e8019be4f4fb6e1938"),
    ("gaid", "7268ceb0-5411-4004-b7cb-bd1fee4b6277", "7c687d7812ae6ca319aecea51d0d7750"),
    ("android_id", "d0d4845ae4495a83", "1ebf70337adb6df4b70300edc27c24c8"),
]
UUIDS = st.uuids().filter(lambda value: len(set(value.hex)) > 1)


@pytest.mark.parametrize(("namespace", "raw", "digest"), VECTORS)
def test_a_raw_id_has_the_key_of_the_digest_that_platforms_send(namespace: str, raw: str, digest: str) -> None:
    found = HASHER.identify(namespace, raw)
    assert found == HASHER.identify(f"{namespace}_md5", digest)
    assert found == HASHER.identify(f"{namespace}_md5", digest.upper())
    assert found.namespace == f"{namespace}_md5"


@given(UUIDS)
def test_spellings_of_a_resettable_id_have_one_key(value: uuid.UUID) -> None:
    text = str(value)
    for namespace, hashed in (("idfa", text.upper()), ("gaid", text)):
        keys = {key(namespace, spelled) for spelled in (text, text.upper(), value.hex, value.hex.upper())}
        assert keys == {key(f"{namespace}_md5", plain_md5(hashed))}


@given(st.from_regex(r"[0-9a-f]{12,16}|[0-9A-F]{16,64}", fullmatch=True).filter(lambda text: len(set(text)) > 1))
def test_an_oaid_or_android_id_has_the_key_of_its_digest(value: str) -> None:
    if len(value) >= 16:
        assert key_if_taken("oaid", value) == key_if_taken("oaid_md5", plain_md5(value))
    if len(value) <= 16:
        assert key_if_taken("android_id", value) == key_if_taken("android_id_md5", plain_md5(value.lower()))


@given(st.from_regex(r"[0-9]{14}", fullmatch=True).filter(lambda text: len(set(text)) > 1))
def test_exactly_one_check_digit_makes_an_imei(body: str) -> None:
    completed = canonical("imei", body)
    assert completed[:-1] == body
    assert canonical("imei", completed) == completed
    for digit in "0123456789":
        if body + digit != completed:
            assert_refused("imei", body + digit)


@pytest.mark.parametrize(
    ("namespace", "value"),
    [
        ("idfa", "00000000-0000-0000-0000-000000000000"),
        ("idfa", "AEBE52E7-03EE-455A-B3C4-E5728396623"),
        ("idfa", "AEBE52E703EE-455A-B3C4-E57283966239"),
        ("idfa", "__IDFA__"),
        ("gaid", "00000000000000000000000000000000"),
        ("gaid", "ffffffff-ffff-ffff-ffff-ffffffffffff"),
        ("gaid", "FFFFffff-ffff-ffff-ffff-ffffffffffff"),
        ("gaid", "not-a-uuid"),
        ("oaid", "0" * 16),
        ("oaid", "0" * 64),
        ("oaid", "00000000-0000-0000-0000-000000000000"),
        ("oaid", "xyz"),
        ("oaid", "a1" * 33),
        ("imei", "000000000000000"),
        ("imei", "00000000000000"),
        ("imei", "111111111111119"),
        ("imei", "012345678912345"),
        ("imei", "004999010640000"),
        ("imei", "00499901064000"),
        ("imei", "868049039501258"),
        ("imei", "8680490395012571"),
        ("imei", "8680490395012"),
        ("imei", "\u0661" * 15),
        ("android_id", "9774d56d682e549c"),
        ("android_id", "9774D56D682E549C"),
        ("android_id", "0000000000000000"),
        ("android_id", "d0d4845ae44"),
        ("android_id", "d0d4845ae4495a83f"),
        ("android_id", "unknown"),
        ("idfa_md5", "3E0046F7-8BD4-4F3E-9F91-358B137D2BF0"),
        ("idfa_md5", "77d06cb28c1771e8019be4f4fb6e193"),
        ("imei_md5", "0" * 32),
    ],
)
def test_malformed_and_shared_ids_are_refused(namespace: str, value: str) -> None:
    assert_refused(namespace, value)


@pytest.mark.parametrize("namespace", ["idfa_md5", "gaid_md5", "oaid_md5", "imei_md5", "android_id_md5"])
@pytest.mark.parametrize(
    "junk",
    [
        "",
        "00000000-0000-0000-0000-000000000000",
        "0" * 15,
        "0" * 16,
        "0" * 32,
        "9774d56d682e549c",
        "012345678912345",
        "004999010640000",
        "null",
        "unknown",
        "UNKNOWN",
        "__IMEI__",
        "FFFFFFFF-FFFF-FFFF-FFFF-FFFFFFFFFFFF",
    ],
)
def test_digests_of_junk_are_junk(namespace: str, junk: str) -> None:
    assert_refused(namespace, plain_md5(junk))


def test_published_digests_of_nothing_are_refused() -> None:
    for digest in ("d41d8cd98f00b204e9800998ecf8427e", "9f89c84a559f573636a47ff8daed0d33"):
        assert_refused("idfa_md5", digest)
