"""
E-mail addresses and phone numbers against the vectors that the schemes publish.

UID2: https://unifiedid.com/docs/getting-started/gs-normalization-encoding (its source is
docs/getting-started/gs-normalization-encoding.md of https://github.com/IABTechLab/uid2docs), and the edge cases of
UID2's iOS kit, https://github.com/IABTechLab/uid2-ios-sdk, Tests/UID2Tests/IdentityTypeTests.swift.
Meta: https://developers.facebook.com/docs/marketing-api/conversions-api/parameters/customer-information-parameters
"""

import base64
import hashlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.namespaces.digests import sha256_hex
from bihuan_identity.domain.namespaces.junk import PLACEHOLDERS
from tests.unit.identity.keying import HASHER, assert_refused, canonical, key

UID2_EMAILS = [
    ("MyEmail@example.com", "myemail@example.com", "FsGNM28LJQ8OLZB0Us65ZYp07NrovJSGTCMSKnLMJ6U="),
    ("MYEMAIL@example.com", "myemail@example.com", "FsGNM28LJQ8OLZB0Us65ZYp07NrovJSGTCMSKnLMJ6U="),
    ("My.Email@example.com", "my.email@example.com", "4itTvG+HEnTzpiqzejyu1yFPwU1nYhWpaiQvz62hyB8="),
    ("JANESAOIRSE@example.com", "janesaoirse@example.com", "1mcOepIAfxtf94Xx/IHlOqbT170GvfXEc83HKGwoS20="),
    ("JaneSaoirse@example.com", "janesaoirse@example.com", "1mcOepIAfxtf94Xx/IHlOqbT170GvfXEc83HKGwoS20="),
    ("jane.saoirse@example.com", "jane.saoirse@example.com", "sZZDLHuYmiypHIN5mVfFFdpT5sE6vyC3j+qU8RfpC/g="),
    ("Jane.Saoirse@example.com", "jane.saoirse@example.com", "sZZDLHuYmiypHIN5mVfFFdpT5sE6vyC3j+qU8RfpC/g="),
    ("JaneSaoirse+Work@example.com", "janesaoirse+work@example.com", "KKruSBUjDNO069iMUVImVQZm6RrAGZKeOtrD9mwogYA="),
    ("JANE.SAOIRSE@gmail.com", "janesaoirse@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
    ("Jane.Saoirse@gmail.com", "janesaoirse@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
    ("JaneSaoirse+Work@gmail.com", "janesaoirse@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
    ("JANESaoirse@gmail.com", "janesaoirse@gmail.com", "ku4mBX7Z3qJTXWyLFB1INzkyR2WZGW4ANSJUiW21iI8="),
    ("  USER@example.com  ", "user@example.com", "tMmiiTI7IaAcPpQPFQ65uMVCWH8av9jw4cwf/F5HVRQ="),
]
UID2_HEX = {
    "myemail@example.com": "16c18d336f0b250f0e2d907452ceb9658a74ecdae8bc94864c23122a72cc27a5",
    "my.email@example.com": "e22b53bc6f871274f3a62ab37a3caed7214fc14d676215a96a242fcfada1c81f",
    "janesaoirse@example.com": "d6670e7a92007f1b5ff785f1fc81e53aa6d3d7bd06bdf5c473cdc7286c284b6d",
    "jane.saoirse@example.com": "b196432c7b989a2ca91c83799957c515da53e6c13abf20b78fea94f117e90bf8",
    "janesaoirse+work@example.com": "28aaee4815230cd3b4ebd88c515226550666e91ac019929e3adac3f66c288180",
    "janesaoirse@gmail.com": "92ee26057ed9dea2535d6c8b141d48373932476599196e00352254896db5888f",
    "user@example.com": "b4c9a289323b21a01c3e940f150eb9b8c542587f1abfd8f0e1cc1ffc5e475514",
}
LOCALS = st.text("abcdefghijklmnopqrstuvwxyz0123456789._-", min_size=1, max_size=20).filter(
    lambda text: text.replace(".", "") not in PLACEHOLDERS | {""}
)
NUMBERS = st.from_regex(r"\+[1-9][0-9]{7,14}", fullmatch=True).filter(lambda number: len(set(number)) > 2)


@pytest.mark.parametrize(("raw", "normal", "digest"), UID2_EMAILS)
def test_uid2_email_vectors(raw: str, normal: str, digest: str) -> None:
    assert canonical("email", raw) == normal
    assert sha256_hex(normal) == UID2_HEX[normal] == base64.b64decode(digest).hex()
    assert key("email", raw) == key("email_sha256", digest) == key("email_sha256", UID2_HEX[normal])


def test_uid2_phone_vector() -> None:
    digest = "10e6f0b47054a83359477dcb35231db6de5c69fb1816e1a6b98e192de9e5b9ee"
    assert sha256_hex("+12345678901") == digest
    assert base64.b64encode(bytes.fromhex(digest)).decode() == "EObwtHBUqDNZR33LNSMdtt5cafsYFuGmuY4ZLenlue4="
    assert key("phone", "+12345678901") == key("phone_sha256", digest)


@pytest.mark.parametrize(
    ("raw", "normal"),
    [
        ("JaneSaoirse+@gmail.com", "janesaoirse@gmail.com"),
        ("JaneSaoirse++@gmail.com", "janesaoirse@gmail.com"),
        ("JaneSaoirse+Work+more.work@gmail.com", "janesaoirse@gmail.com"),
        ("Jane.Saoirse+Work@gmail.com", "janesaoirse@gmail.com"),
        ("TEst.TEST@Test.com ", "test.test@test.com"),
        ("test+test@test.com", "test+test@test.com"),
        ("+test@test.com", "+test@test.com"),
        (" TEst.TEst+123@GMail.Com  ", "testtest@gmail.com"),
        ("test.test@googlemail.com", "test.test@googlemail.com"),
        ("J\u00c9R\u00d4ME@example.com", "j\u00c9r\u00d4me@example.com"),
    ],
)
def test_uid2_edge_cases(raw: str, normal: str) -> None:
    assert canonical("email", raw) == normal


@pytest.mark.parametrize(
    "value",
    [
        "",
        " @",
        "@",
        "a@",
        "@b",
        "@b.com",
        "+",
        " ",
        "+@gmail.com",
        ".+@gmail.com",
        "a@ba@z.com",
        "two words@example.com",
        "tab\there@example.com",
        "null@example.com",
        "n/a@gmail.com",
        "a" * 310 + "@example.com",
        UID2_HEX["user@example.com"],
    ],
)
@pytest.mark.parametrize("namespace", ["email", "email_meta"])
def test_what_is_no_address_is_refused(namespace: str, value: str) -> None:
    if namespace == "email" or not value.endswith("+@gmail.com"):
        assert_refused(namespace, value)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "+",
        "asdaksjdakfj",
        "1234567890",
        "+1234567",
        "+ 12345678",
        "+ 1234 56789",
        "+1234567890123456",
        "+1234567890A",
        "+1234567890 ",
        "+1234567890+",
        "+12345+67890",
        "555-555-5555",
        "(555) 555-5555",
        "+0123456789",
        "+\u0661\u0662\u0663\u0664\u0665\u0666\u0667\u0668\u0669\u0660",
        "+\uff11\uff12\uff13\uff14\uff15\uff16\uff17\uff18\uff19",
        "+11111111111",
    ],
)
def test_a_number_that_is_not_e164_is_refused(value: str) -> None:
    assert_refused("phone", value)


@pytest.mark.parametrize("digits", range(8, 16))
def test_a_number_has_8_to_15_digits(digits: int) -> None:
    assert canonical("phone", "+123456789012345"[: digits + 1]) == "+123456789012345"[: digits + 1]


def test_meta_email_example() -> None:
    digest = "62a14e44f765419d10fea99367361a727c12365e2520f32218d505ed9aa0f62f"
    assert canonical("email_meta", " John_Smith@gmail.com\n") == "john_smith@gmail.com"
    assert key("email_meta", "John_Smith@gmail.com") == key("email_meta_sha256", digest)


@pytest.mark.parametrize("raw", ["1(650)555-1212", "+1 (650) 555-1212", "001 650 555 1212", "16505551212"])
def test_meta_phone_example(raw: str) -> None:
    digest = "e323ec626319ca94ee8bff2e4c87cf613be6ea19919ed1364124e16807ab3176"
    assert canonical("phone_meta", raw) == "16505551212"
    assert key("phone_meta", raw) == key("phone_meta_sha256", digest)


@pytest.mark.parametrize("value", ["", "0", "1234567", "1234567890123456", "1650555 ext 2", "\u0661" * 9, "2" * 11])
def test_what_meta_could_not_match_is_refused(value: str) -> None:
    assert_refused("phone_meta", value)


def test_the_schemes_never_share_a_key() -> None:
    digest = hashlib.sha256(b"anna@example.com").hexdigest()
    namespaces = ("email", "email_sha256", "email_meta", "email_meta_sha256")
    values = ("anna@example.com", digest, "anna@example.com", digest)
    uid2, uid2_hashed, meta, meta_hashed = (key(*pair) for pair in zip(namespaces, values, strict=True))
    assert (uid2, meta) == (uid2_hashed, meta_hashed)
    assert uid2 != meta


def test_a_raw_contact_is_kept_under_the_name_of_its_digest() -> None:
    kept = [HASHER.identify(name, "anna@example.com").namespace for name in ("email", "email_meta")]
    assert kept == ["email_sha256", "email_meta_sha256"]
    assert HASHER.identify("phone", "+8613800138000").namespace == "phone_sha256"


@given(LOCALS, st.sampled_from(["gmail.com", "example.com", "qq.com"]), st.randoms(use_true_random=False))
def test_spellings_of_an_address_have_the_key_of_its_digest(local: str, domain: str, random: Random) -> None:
    address = f"{local}@{domain}"
    spelled = "".join(letter.upper() if random.random() < 0.5 else letter for letter in address)
    for raw, hashed in (("email", "email_sha256"), ("email_meta", "email_meta_sha256")):
        digest = sha256_hex(canonical(raw, address))
        assert key(raw, f" {spelled} ") == key(raw, address) == key(hashed, digest)
    if domain == "gmail.com":
        assert key("email", f"{local.replace('.', '')}+tag@gmail.com") == key("email", address)


@given(NUMBERS)
def test_a_number_has_the_key_of_its_digest_in_either_scheme(number: str) -> None:
    assert key("phone", number) == key("phone_sha256", sha256_hex(number))
    assert key("phone_meta", number) == key("phone_meta_sha256", sha256_hex(number[1:]))
    assert key("phone_meta", number) == key("phone_meta", f"00{number[1:4]} ({number[4:]})")
    assert key("phone", number) != key("phone_meta", number)
