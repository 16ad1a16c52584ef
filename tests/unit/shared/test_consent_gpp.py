"""GPP strings: published ones, the way back from an encoder of our own, and what is no GPP string."""

from contextlib import suppress

import pytest
from consent_strings import ALPHABET, chars, fibonacci, gpp, gpp_header, number
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.consent.bits import BitReader
from bihuan_shared.consent.gpp import gpp_sections
from bihuan_shared.consent.refusal import Refusal, Refused

TC = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"


def refusal(text: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        gpp_sections(text)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"DBABMA~{TC}", {2: TC}),
        (f"DBABM~{TC}", {2: TC}),
        (f"DBACNYA~{TC}~1YNN", {2: TC, 6: "1YNN"}),
        (f"DBACNY~{TC}~1YNN", {2: TC, 6: "1YNN"}),
        (f"DBABjw~{TC}~1YNN", {5: TC, 6: "1YNN"}),
        ("DBABTA~1YNN", {6: "1YNN"}),
        ("DBABLA~BVVVVVVVVWA.YA", {7: "BVVVVVVVVWA.YA"}),
        ("DBABBg~BVqqqqpY.YA", {8: "BVqqqqpY.YA"}),
        ("DBACOaw~2~5~6~7~8~9~10~11~12", {2: "2", **{one: str(one) for one in range(5, 13)}}),
        ("DBAA", {}),
    ],
)
def test_published_headers(text: str, expected: dict[int, str]) -> None:
    """From the specification's examples, and the tests of iabgpp-es (`GppModel.test.ts`) and iabgpp-rs."""
    assert gpp_sections(text) == expected


@pytest.mark.parametrize(
    ("bits", "value"),
    [("11", 1), ("011", 2), ("0011", 3), ("1011", 4), ("00011", 5), ("10011", 6), ("01011", 7)],
)
def test_fibonacci_coding_is_that_of_the_specification(bits: str, value: int) -> None:
    assert BitReader(chars(bits)).fibonacci() == value
    assert fibonacci(value) == bits


@given(ids=st.frozensets(st.integers(1, 4_000), max_size=64), grouped=st.booleans())
def test_what_an_encoder_wrote_is_read_back(ids: frozenset[int], *, grouped: bool) -> None:
    sections = {one: f"section-{one}" for one in ids}
    assert gpp_sections(gpp(sections, grouped=grouped)) == sections


def test_every_truncation_is_refused_until_the_last_section_begins() -> None:
    sections = {2: TC, 6: "1YNN", 7: "BVVVVVVVVWA.YA"}
    text = gpp(sections)
    begin = text.rindex("~") + 1
    for length in range(begin):
        assert refusal(text[:length]) in {Refusal.TRUNCATED, Refusal.INVALID_HEADER}, text[:length]
    for length in range(begin, len(text)):
        # What is missing of a section is for its own reader to find.
        assert gpp_sections(text[:length]) == {**sections, 7: text[begin:length]}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Refusal.TRUNCATED),
        ("~", Refusal.TRUNCATED),
        (TC, Refusal.INVALID_HEADER),
        ("1YNN", Refusal.INVALID_HEADER),
        (gpp_header([2], version=2) + "~x", Refusal.UNSUPPORTED_VERSION),
        ("DBABMA", Refusal.INVALID_HEADER),
        ("DBABMA~a~b", Refusal.INVALID_HEADER),
        ("DBABMB~a", Refusal.TRAILING_DATA),
        ("DBA=~a", Refusal.NOT_BASE64),
        ("DBAB", Refusal.TRUNCATED),
        (chars(number(3, 6) + number(1, 6) + number(1, 12) + "0" * 40) + "~a", Refusal.INVALID_VALUE),
        (chars(number(3, 6) + number(1, 6) + number(1, 12) + "1" + "11" + fibonacci(70_000)) + "~a", "INVALID_HEADER"),
        (gpp(dict.fromkeys(range(1, 66), "")), Refusal.INVALID_HEADER),
        (chars(number(3, 6) + number(1, 6) + number(4_095, 12) + "011" * 4_095) + "~a", Refusal.INVALID_HEADER),
    ],
)
def test_what_is_no_gpp_string_is_refused_by_name(text: str, expected: Refusal) -> None:
    assert refusal(text) is Refusal(expected)


@given(text=st.text(max_size=40) | st.text(ALPHABET + "~.", max_size=200), begun=st.booleans())
def test_no_text_fails_in_another_way_than_being_refused(text: str, *, begun: bool) -> None:
    with suppress(Refused):
        assert isinstance(gpp_sections(("DBA" if begun else "") + text), dict)
