"""TC strings: published ones, the way back from an encoder of our own, and what is no TC string."""

from contextlib import suppress
from dataclasses import replace

import pytest
from consent_strings import ALPHABET, Tc, chars, number, spans_of
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.consent.refusal import Refusal, Refused
from bihuan_shared.consent.tcf import RestrictionKind, TcString, decode_tc_string
from bihuan_shared.consent.vendors import VendorSet


def members(vendors: VendorSet, highest: int = 2_000) -> set[int]:
    return {vendor for vendor in range(1, highest) if vendor in vendors}


def refusal(text: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        decode_tc_string(text)
    return caught.value.refusal


def test_a_published_string_of_a_consent_platform_with_many_vendors() -> None:
    """From the tests of the IAB Tech Lab's own library, iabgpp-es, `TcfEuV2.test.ts`, "decode 2"."""
    decoded = decode_tc_string(
        "CPi8wgAPi8wgAAOACBENCuCoAP_AAEfAACiQJHNd_H__bX9n-f7_6ft0eY1f9_r37uQzDhfNk-8F3L_W_LwX_2E7NF36tq4KmR4ku1LBIUNt"
        "HMnUDUmxaokVrzHsak2cpzNKJ_BkknsZe2dYGF9vm5tj-QKZ7_5_d3f52T_9_9v-39z33913v3d93-_13LjdV5_9H_v9fR_b8_Kf9_5-_4v8"
        "_____3_e______8AEEggCTDVuIAuxLHAm0DCKBECMKwkKoFABBQDC0QGADg4KdlYBPrCBAAgFAEYEQIcAUYEAgAAAgCQiACQIsEAAAIgEAAI"
        "AEQiEABAwCCgAsDAIAAQDQMUQoABAkIMiAiKUwICIEggJbKhBKC6Q0wgCrLACgkRsFAAiAAAUgACAsHAMESAlYsECTFG-QAjBCgFEqFaAGGg"
        "AwABBI4RABgACCRwqADAAEEjgA"
    )
    assert (decoded.policy_version, decoded.service_specific, decoded.publisher_country) == (2, True, "US")
    assert decoded.consents == set(range(1, 11))
    assert decoded.legitimate_interests == {2, 6, 7, 8, 9, 10}
    assert len(members(decoded.vendor_consents)) == 772
    assert len(members(decoded.vendor_legitimate_interests)) == 280
    assert decoded.disclosed is None


def test_a_published_string_with_disclosed_and_allowed_vendors() -> None:
    """From the same tests, "decode"."""
    vendors = (
        "GLtV_T9fb2vj-_Z99_tkeYwf95y3p-wzhheMs-8NyZeH_B4Wv2MyvBX4JiQKGRgksjLBAQdtHGlcTQgBwIlViTLMYk2MjzNKJrJEilsbO2dY"
        "GD9Pn8HT3ZCY70-vv__7v3ff_3g"
    )
    core = "CPcqBNJPcqBNJNwAAAENAwCAAAAAAAAAAAAAAAAAAAAA"
    decoded = decode_tc_string(f"{core}.YAAAAAAAAAA.Q{vendors}.I{vendors}")
    assert decoded.disclosed is not None
    disclosed = sorted(members(decoded.disclosed))
    assert len(disclosed) == 434
    assert disclosed[:10] == [1, 2, 4, 6, 8, 10, 11, 12, 13, 14]
    assert disclosed[-9:] == [782, 783, 784, 785, 786, 788, 789, 790, 791]
    assert decode_tc_string(f"{core}.I{vendors}.Q{vendors}.YAAAAAAAAAA") == decoded


def test_a_published_string_with_publisher_purposes_and_vendor_ranges() -> None:
    """From the tests of iabgpp-rs, `tcfeuv2_with_publisher_purposes.json`; the core is also in the specification."""
    decoded = decode_tc_string("COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA.ZAAgH9794ulA")
    assert decoded.updated_us == 1_582_243_059_300_000
    assert (decoded.policy_version, decoded.service_specific, decoded.publisher_country) == (2, False, "AA")
    assert decoded.consents == {1, 2, 3}
    assert not decoded.legitimate_interests
    assert members(decoded.vendor_consents) == members(decoded.vendor_legitimate_interests) == {2, 6, 8}


def test_a_published_string_of_tcf_2_3() -> None:
    """From the documentation of Axeptio's headless API, "Encode a TC string", with the request that made it."""
    decoded = decode_tc_string("CQrQMwAQrQMwAEEABAENCyFoAOAAAEIAAAqIF5wAgAAgLzAvOACAvMAA.IAAA.YAAAAAAAAAAA")
    assert (decoded.policy_version, decoded.publisher_country) == (5, "FR")
    assert decoded.consents == {1, 2, 3}
    assert decoded.legitimate_interests == {2, 7}
    assert (members(decoded.vendor_consents), members(decoded.vendor_legitimate_interests)) == ({1, 755}, {755})
    assert decoded.disclosed == VendorSet()


SOME_VENDORS = st.frozensets(st.integers(1, 300), max_size=12)
SPANS = st.lists(
    st.tuples(st.integers(1, 65_535), st.integers(1, 65_535)).map(lambda pair: (min(pair), max(pair))), max_size=3
)
STRINGS = st.builds(
    Tc,
    updated_us=st.integers(0, 2**36 - 1).map(lambda deciseconds: deciseconds * 100_000),
    policy=st.integers(0, 63),
    service_specific=st.booleans(),
    consents=st.frozensets(st.integers(1, 24)),
    interests=st.frozensets(st.integers(1, 24)),
    purpose_one_treatment=st.booleans(),
    country=st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=2, max_size=2),
    vendors=SOME_VENDORS,
    vendor_interests=SOME_VENDORS,
    ranged=st.booleans(),
    restrictions=st.lists(st.tuples(st.integers(0, 63), st.integers(0, 3), SPANS), max_size=3),
    disclosed=st.none() | SOME_VENDORS,
    allowed=st.none() | SOME_VENDORS,
    publisher=st.none() | st.frozensets(st.integers(1, 24)),
    custom=st.frozensets(st.integers(1, 63)),
)


@given(STRINGS)
def test_what_an_encoder_wrote_is_read_back(tc: Tc) -> None:
    decoded = decode_tc_string(tc.text())
    assert decoded.updated_us == tc.updated_us
    assert decoded.policy_version == tc.policy
    assert decoded.service_specific is tc.service_specific
    assert (decoded.consents, decoded.legitimate_interests) == (tc.consents, tc.interests)
    assert decoded.purpose_one_treatment is tc.purpose_one_treatment
    assert decoded.publisher_country == tc.country
    assert members(decoded.vendor_consents) == tc.vendors
    assert members(decoded.vendor_legitimate_interests) == tc.vendor_interests
    told = [(one.purpose, one.kind, list(one.vendors.ranges)) for one in decoded.restrictions]
    assert told == [(purpose, kind, list(spans)) for purpose, kind, spans in tc.restrictions]
    assert (None if decoded.disclosed is None else members(decoded.disclosed)) == tc.disclosed


FULL = Tc(
    vendors=range(1, 40, 2),
    vendor_interests={7, 9},
    restrictions=[(7, 1, [(1, 20), (30, 30)])],
    disclosed=range(1, 41),
    allowed={3},
    publisher={1, 2},
    custom={1, 5},
)


@pytest.mark.parametrize("ranged", [False, True])
@pytest.mark.parametrize("tc", [Tc(), FULL], ids=["core", "every segment"])
def test_every_truncation_is_refused_or_ends_a_segment(tc: Tc, *, ranged: bool) -> None:
    text = replace(tc, ranged=ranged).text()
    whole = decode_tc_string(text)
    for length in range(len(text)):
        part, rest = text[:length], text[length:]
        if rest.partition(".")[0].strip("A") or part.endswith("."):
            assert refusal(part) is Refusal.TRUNCATED, part
            continue
        # Only padding of a segment and whole segments may be lost, and what is left says the same of purposes.
        with suppress(Refused):
            assert replace(decode_tc_string(part), disclosed=None) == replace(whole, disclosed=None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Refusal.TRUNCATED),
        ("C", Refusal.TRUNCATED),
        ("BOEFEAyOEFEAyAHABDENAI4AAAB9vABAASA", Refusal.UNSUPPORTED_VERSION),
        (replace(Tc(), version=3).text(), Refusal.UNSUPPORTED_VERSION),
        (Tc().text() + "=", Refusal.NOT_BASE64),
        (Tc().text().replace("A", "+", 1), Refusal.NOT_BASE64),
        (" " + Tc().text(), Refusal.NOT_BASE64),
        (Tc().text() + "\n", Refusal.NOT_BASE64),
        ("\N{FULLWIDTH LATIN CAPITAL LETTER A}" * 40, Refusal.NOT_BASE64),
        (Tc().text() + ".", Refusal.TRUNCATED),
        (Tc().text() + "B", Refusal.TRAILING_DATA),
        (Tc().text() + ".IAAB", Refusal.TRAILING_DATA),
        (Tc().text() + "." + chars(number(0, 3) + number(0, 17)), Refusal.UNKNOWN_SEGMENT),
        (Tc().text() + "." + chars(number(4, 3) + number(0, 17)), Refusal.UNKNOWN_SEGMENT),
        (Tc().text() + ".IAAA.IAAA", Refusal.INVALID_VALUE),
        (Tc(restrictions=[(1, 0, [(9, 8)])]).text(), Refusal.INVALID_VALUE),
        (Tc(restrictions=[(1, 0, [])] * 97).text(), Refusal.INVALID_VALUE),
    ],
)
def test_what_is_no_tc_string_is_refused_by_name(text: str, expected: Refusal) -> None:
    assert refusal(text) is expected


def test_padding_of_any_length_is_no_content() -> None:
    text = FULL.text().replace(".", "AAAA.") + "AAA"
    assert decode_tc_string(text) == decode_tc_string(FULL.text())


@given(text=st.text(max_size=40) | st.text(ALPHABET + ".", max_size=400), begun=st.booleans())
def test_no_text_fails_in_another_way_than_being_refused(text: str, *, begun: bool) -> None:
    with suppress(Refused):
        assert isinstance(decode_tc_string(("C" if begun else "") + text), TcString)


@given(
    changes=st.lists(st.tuples(st.integers(0, len(FULL.text()) - 1), st.sampled_from(ALPHABET + ".")), max_size=6),
)
def test_a_damaged_string_is_read_or_refused(changes: list[tuple[int, str]]) -> None:
    damaged = list(FULL.text())
    for place, char in changes:
        damaged[place] = char
    with suppress(Refused):
        assert isinstance(decode_tc_string("".join(damaged)), TcString)


def test_ranges_are_not_spelled_out() -> None:
    """115 ranges of 65,535 vendors each fit 4 KiB; spelled out they would take hundreds of megabytes."""
    widest = [(1, 65_535)] * 115
    text = Tc(restrictions=[(purpose, 0, widest) for purpose in range(1, 6)]).text()
    assert len(text) < 4_096
    decoded = decode_tc_string(text)
    assert all(one.vendors.ranges == tuple(widest) for one in decoded.restrictions)
    assert decoded.restrictions_on(3, 65_535) == {RestrictionKind.NOT_ALLOWED}


def test_spans_of_the_encoder_are_those_that_were_meant() -> None:
    assert spans_of({1, 2, 3, 5, 7, 8}) == [(1, 3), (5, 5), (7, 8)]
