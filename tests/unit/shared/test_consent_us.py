"""US sections and the US Privacy string: published ones, and field by field what opts a person out."""

from contextlib import suppress
from dataclasses import replace

import pytest
from consent_strings import ALPHABET, US_LISTS, US_SECTIONS, Us
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.consent import Purpose
from bihuan_shared.consent.refusal import Refusal, Refused
from bihuan_shared.consent.us import UsChoices, decode_us_privacy, decode_us_section, us_purposes

ALL = frozenset(Purpose)
AFTER_OPT_OUT = {Purpose.MEASUREMENT, Purpose.INSIGHT}
SECTIONS = pytest.mark.parametrize("name", US_SECTIONS)


def allowed(section_id: int, us: Us) -> frozenset[Purpose]:
    return us_purposes(decode_us_section(section_id, us.text()))


def refusal(section_id: int, text: str) -> Refusal:
    with pytest.raises(Refused) as caught:
        decode_us_section(section_id, text)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("section_id", "text", "expected"),
    [
        (7, "BVVVkkkkkpFY.YA", UsChoices(
            (1,) * 6, (1,) * 3, (2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2, 1, 0, 2), (2, 1, 0), (1,), (1, 1, 2), gpc=True
        )),
        (7, "BVVVVVVVVWA.YA", UsChoices((1,) * 6, (1,) * 3, (1,) * 12, (1, 1), (1,), (1, 1, 2), gpc=True)),
        (7, "CAAAAAAAAAWA.Q", UsChoices((0,) * 6, (0,) * 3, (0,) * 16, (0, 0, 1), (1,), (2, 0, 0))),
        (8, "BVWSSSVY.YA", UsChoices(
            (1,) * 3, (1,) * 2, (2, 1, 0, 2, 1, 0, 2, 1, 0), (2, 1), (1,), (1, 1, 2), gpc=True
        )),
        (8, "BVqqqqpY.YA", UsChoices((1,) * 3, (2,) * 2, (2,) * 9, (2, 2), (2,), (1, 1, 2), gpc=True)),
        (9, "BVWSSVY", UsChoices((1,) * 3, (1,) * 2, (2, 1, 0, 2, 1, 0, 2, 1), (1,), (), (1, 1, 2))),
        (9, "BVVVVWY", UsChoices((1,) * 3, (1,) * 2, (1,) * 8, (1,), (), (2, 1, 2))),
        (10, "BVWSSVg.Y", UsChoices((1,) * 3, (1,) * 2, (2, 1, 0, 2, 1, 0, 2), (1,), (), (1, 1, 2), gpc=True)),
        (11, "BVVkklWA", UsChoices((1,) * 4, (1,) * 2, (2, 1, 0, 2, 1, 0, 2, 1), (1,), (), (1, 1, 2))),
        (12, "BVWSSZFg.YA", UsChoices(
            (1,) * 3, (1,) * 2, (2, 1, 0, 2, 1, 0, 2, 1), (2, 1, 0), (), (1, 1, 2), gpc=True
        )),
    ],
)  # fmt: skip
def test_published_sections(section_id: int, text: str, expected: UsChoices) -> None:
    """From the tests of iabgpp-es (`UsNat.test.ts`, `UsCa.test.ts` and so on) and of iabgpp-rs (`tests/data`)."""
    assert decode_us_section(section_id, text) == expected
    assert us_purposes(expected) == AFTER_OPT_OUT


@SECTIONS
@given(data=st.data())
def test_what_an_encoder_wrote_is_read_back(name: str, data: st.DataObject) -> None:
    section_id, us = US_SECTIONS[name]
    values = {part: data.draw(st.tuples(*[st.integers(0, 2)] * len(getattr(us, part)))) for part in US_LISTS}
    values["mspa"] = (data.draw(st.integers(1, 2)), *values["mspa"][1:])
    gpc = data.draw(st.none() | st.booleans())
    assert decode_us_section(section_id, Us(us.version, **values, gpc=gpc).text()) == UsChoices(**values, gpc=bool(gpc))


@SECTIONS
def test_nobody_who_did_not_opt_out_is_out_and_every_field_opts_out_by_itself(name: str) -> None:
    section_id, us = US_SECTIONS[name]
    assert allowed(section_id, us) == ALL
    assert allowed(section_id, replace(us, gpc=False)) == ALL
    assert allowed(section_id, replace(us, gpc=True)) == AFTER_OPT_OUT
    ending = {"notices": {2}, "opt_outs": {1}, "sensitive": {1}, "children": {1, 2}, "personal": {1}}
    for part, values in ending.items():
        for place in range(len(getattr(us, part))):
            for value in range(3):
                changed = [*getattr(us, part)]
                changed[place] = value
                expected = AFTER_OPT_OUT if value in values else ALL
                assert allowed(section_id, us.having(part, changed)) == expected, (part, place, value)


@SECTIONS
def test_data_that_is_processed_for_the_publisher_alone_targets_nobody(name: str) -> None:
    section_id, us = US_SECTIONS[name]
    for covered in (1, 2):
        for mode in range(3):
            assert allowed(section_id, replace(us, mspa=(covered, mode, 1))) == AFTER_OPT_OUT
            assert allowed(section_id, replace(us, mspa=(covered, mode, 2))) == ALL


@SECTIONS
def test_every_truncation_is_refused(name: str) -> None:
    section_id, us = US_SECTIONS[name]
    text = replace(us, mspa=(2, 2, 2), gpc=True).text().removesuffix("A")
    for length in range(len(text)):
        if text[length] == ".":
            assert decode_us_section(section_id, text[:length]).gpc is False
        else:
            # A national section of version 1 has two lengths: cut to the shorter one, its fields shift.
            shifted = {Refusal.INVALID_VALUE} if name == "usnat 1, long" else set()
            assert refusal(section_id, text[:length]) in {Refusal.TRUNCATED} | shifted, text[:length]


@SECTIONS
def test_what_a_section_does_not_know_is_refused(name: str) -> None:
    section_id, us = US_SECTIONS[name]
    text = us.text()
    assert refusal(section_id, replace(us, version=3).text()) is Refusal.UNSUPPORTED_VERSION
    assert refusal(section_id, replace(us, version=0).text()) is Refusal.UNSUPPORTED_VERSION
    assert refusal(section_id, text + "B") is Refusal.TRAILING_DATA
    assert refusal(section_id, text + "=") is Refusal.NOT_BASE64
    assert refusal(section_id, text + ".AA") is Refusal.UNKNOWN_SEGMENT
    assert refusal(section_id, text + ".QA.QA") is Refusal.INVALID_VALUE
    assert refusal(section_id, text + ".") is Refusal.TRUNCATED
    assert refusal(section_id, replace(us, mspa=(0, 0, 0)).text()) is Refusal.INVALID_VALUE
    for part in US_LISTS:
        if getattr(us, part):
            assert refusal(section_id, us.having(part, [3] * len(getattr(us, part))).text()) == "INVALID_VALUE"


@given(section_id=st.integers(7, 12), text=st.text(max_size=30) | st.text("B" + ALPHABET + ".", max_size=30))
def test_no_section_fails_in_another_way_than_being_refused(section_id: int, text: str) -> None:
    with suppress(Refused):
        decode_us_section(section_id, text)
        decode_us_section(section_id, "B" + text)


@pytest.mark.parametrize("notice", "YN-")
@pytest.mark.parametrize("sale", "YN-")
@pytest.mark.parametrize("covered", "YN-")
def test_the_us_privacy_string(notice: str, sale: str, covered: str) -> None:
    expected = AFTER_OPT_OUT if notice == "N" or sale == "Y" else ALL
    assert us_purposes(decode_us_privacy(f"1{notice}{sale}{covered}")) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Refusal.TRUNCATED),
        ("1", Refusal.TRUNCATED),
        ("1YN", Refusal.TRUNCATED),
        ("2YNN", Refusal.UNSUPPORTED_VERSION),
        ("1YNNN", Refusal.TRAILING_DATA),
        ("1yNN", Refusal.INVALID_VALUE),
        ("1YNX", Refusal.INVALID_VALUE),
    ],
)
def test_what_is_no_us_privacy_string(text: str, expected: Refusal) -> None:
    with pytest.raises(Refused) as caught:
        decode_us_privacy(text)
    assert caught.value.refusal is expected
