"""Consent strings as callers give them: one consent, reasons instead of exceptions, and no string too long."""

import json
import time
from dataclasses import replace

import pytest
from consent_strings import ALPHABET, EVERY_PURPOSE, UPDATED_US, US_SECTIONS, Tc, gpp
from hypothesis import given
from hypothesis import strategies as st

from bihuan_shared.consent import (
    MAX_CHARS,
    Consent,
    ConsentStrings,
    DataClass,
    Form,
    Purpose,
    Reading,
    Refusal,
    TcfRules,
    openrtb_consent,
    read_consent_strings,
)
from bihuan_shared.consent.tcf_rules import LIFETIME_US

NOW_US = UPDATED_US + 1
ALL = frozenset(Purpose)
AFTER_OPT_OUT = {Purpose.MEASUREMENT, Purpose.INSIGHT}
CLASSES = {DataClass.REGISTRATION, DataClass.OPERATION, DataClass.TRANSACTION}
NOTHING = Consent()
FRENCH = Tc().text()
NATIONAL = US_SECTIONS["usnat 2"][1]
IN, OUT = NATIONAL.text(), replace(NATIONAL, opt_outs=(2, 2, 1)).text()


def reading(
    now_us: int = NOW_US,
    rules: TcfRules | None = None,
    *,
    tcf: str | None = None,
    gpp: str | None = None,
    gpp_sid: tuple[int, ...] = (),
    us_privacy: str | None = None,
) -> Reading:
    read = read_consent_strings(ConsentStrings(tcf, gpp, gpp_sid, us_privacy), rules or TcfRules(), now_us)
    assert read is not None
    return read


def test_no_string_is_no_consent_and_no_refusal() -> None:
    assert read_consent_strings(ConsentStrings(), TcfRules(), NOW_US) is None
    assert read_consent_strings(ConsentStrings(gpp_sid=(7,)), TcfRules(), NOW_US) is None


@pytest.mark.parametrize(("policy", "source"), [(4, "tcf2.2"), (5, "tcf2.3")])
def test_a_tc_string_gives_its_purposes_and_every_class_but_social(policy: int, source: str) -> None:
    read = reading(tcf=Tc(policy=policy).text())
    assert read.consent == Consent(ALL, frozenset(CLASSES), source)
    assert (read.outcomes, read.refusal) == (((Form.TCF, None),), None)


def test_whoever_allows_nothing_is_not_refused() -> None:
    read = reading(tcf=Tc(consents=()).text())
    assert not read.consent.purposes | read.consent.data_classes
    assert read.refusal is None


def test_social_facts_are_given_by_no_string() -> None:
    given_most = (
        reading(tcf=Tc(interests=EVERY_PURPOSE).text()),
        reading(gpp=gpp({7: IN})),
        reading(us_privacy="1YNN"),
    )
    for read in given_most:
        assert read.consent.purposes == ALL
        assert read.consent.data_classes == CLASSES


def test_a_tc_string_runs_out_after_thirteen_months_plainly_and_in_a_gpp_string() -> None:
    last_us = UPDATED_US + LIFETIME_US - 1
    for tcf, text in ((FRENCH, None), (None, gpp({2: FRENCH, 7: IN}))):
        assert reading(last_us, tcf=tcf, gpp=text).consent.purposes == ALL
        expired = reading(last_us + 1, tcf=tcf, gpp=text)
        assert (expired.consent, expired.refusal) == (NOTHING, Refusal.EXPIRED)
    assert reading(last_us * 9, gpp=gpp({7: IN})).consent.purposes == ALL


def test_a_refused_string_gives_nothing_and_says_why() -> None:
    read = reading(tcf=FRENCH[:-9])
    assert (read.consent, read.outcomes) == (NOTHING, ((Form.TCF, Refusal.TRUNCATED),))


def test_several_strings_allow_what_all_of_them_allow() -> None:
    tcf = Tc(consents={1, 3, 4, 7}).text()
    both = reading(tcf=tcf, gpp=gpp({7: OUT}), us_privacy="1YNN")
    assert both.consent == Consent(frozenset({Purpose.MEASUREMENT}), frozenset(CLASSES), "tcf2.2+gpp+us_privacy")
    spoilt = reading(tcf=tcf, gpp="?", us_privacy="1YNX")
    assert not spoilt.consent.purposes | spoilt.consent.data_classes
    assert spoilt.outcomes == (
        (Form.TCF, None),
        (Form.GPP, Refusal.NOT_BASE64),
        (Form.US_PRIVACY, Refusal.INVALID_VALUE),
    )
    assert spoilt.refusal is Refusal.NOT_BASE64


@pytest.mark.parametrize("name", US_SECTIONS)
def test_each_section_of_us_law_is_read(name: str) -> None:
    section_id, us = US_SECTIONS[name]
    assert reading(gpp=gpp({section_id: us.text()}), gpp_sid=(section_id,)).consent.purposes == ALL
    assert reading(gpp=gpp({section_id: replace(us, gpc=True).text()})).consent.purposes == AFTER_OPT_OUT


def test_a_gpp_string_is_read_by_the_sections_that_apply() -> None:
    refused_in_europe = Tc(consents={9}).text()
    text = gpp({2: refused_in_europe, 5: "unread", 6: "1YNN", 7: OUT})
    assert reading(gpp=text, gpp_sid=(6,)).consent == Consent(ALL, frozenset(CLASSES), "gpp")
    assert reading(gpp=text, gpp_sid=(7,)).consent.purposes == AFTER_OPT_OUT
    assert reading(gpp=text, gpp_sid=(2, 7)).consent.purposes == {Purpose.INSIGHT}
    assert reading(gpp=text, gpp_sid=(7, 7, -1)).consent.purposes == AFTER_OPT_OUT
    assert reading(gpp=gpp({2: refused_in_europe, 6: "1YNN"})).consent.purposes == {Purpose.INSIGHT}


@pytest.mark.parametrize(
    ("text", "gpp_sid", "expected"),
    [
        (gpp({7: IN}), (8,), Refusal.SECTION_MISSING),
        (gpp({7: IN}), (7, 8), Refusal.SECTION_MISSING),
        (gpp({}), (), Refusal.SECTION_MISSING),
        (gpp({5: "x", 7: IN}), (5,), Refusal.UNSUPPORTED_SECTION),
        (gpp({5: "x", 7: IN}), (), Refusal.UNSUPPORTED_SECTION),
        (gpp({16: "BAAAAAAAAAA"}), (16,), Refusal.UNSUPPORTED_SECTION),
        (gpp({7: IN}), (-1,), Refusal.NOT_APPLICABLE),
        (gpp({7: IN}), (0,), Refusal.NOT_APPLICABLE),
        (gpp({7: IN[:5]}), (), Refusal.TRUNCATED),
        (gpp({2: FRENCH[:-9], 7: IN}), (), Refusal.TRUNCATED),
        (gpp({6: "1YN"}), (6,), Refusal.TRUNCATED),
        (gpp({2: replace(Tc(), policy=2).text()}), (), Refusal.POLICY_UNKNOWN),
        (FRENCH, (), Refusal.INVALID_HEADER),
    ],
)
def test_a_gpp_string_without_what_applies_is_refused(text: str, gpp_sid: tuple[int, ...], expected: Refusal) -> None:
    read = reading(gpp=text, gpp_sid=gpp_sid)
    assert (read.consent, read.refusal) == (NOTHING, expected)


def test_the_vendor_counts_in_a_gpp_string_too() -> None:
    rules = TcfRules(vendor_id=52)
    assert reading(gpp=gpp({2: FRENCH}), rules=rules).refusal is Refusal.VENDOR_NOT_ALLOWED
    assert reading(gpp=gpp({2: Tc(vendors={52}).text()}), rules=rules).consent.purposes == ALL


def test_a_string_beyond_the_bound_is_not_looked_at() -> None:
    def refusals(text: str) -> set[Refusal | None]:
        return {refusal for _, refusal in reading(tcf=text, gpp=text, us_privacy=text).outcomes}

    longest = "C" * MAX_CHARS
    assert Refusal.TOO_LONG not in refusals(longest)
    for text in (longest + "A", FRENCH + "A" * 10_000_000):
        assert refusals(text) == {Refusal.TOO_LONG}
    assert refusals("\N{SNOWMAN}" * MAX_CHARS) == {Refusal.NOT_BASE64}


def test_padding_up_to_the_bound_is_read() -> None:
    assert reading(tcf=FRENCH.ljust(MAX_CHARS, "A")).consent.purposes == ALL
    assert reading(tcf=FRENCH.ljust(MAX_CHARS + 1, "A")).refusal is Refusal.TOO_LONG


@given(
    texts=st.tuples(*[st.none() | st.text(max_size=60) | st.text(ALPHABET + ".~", max_size=200)] * 3),
    gpp_sid=st.lists(st.integers(), max_size=4).map(tuple),
    now_us=st.integers(0, 2**62),
)
def test_nothing_is_raised_and_no_random_text_targets_anyone(
    texts: tuple[str | None, ...], gpp_sid: tuple[int, ...], now_us: int
) -> None:
    read = read_consent_strings(ConsentStrings(texts[0], texts[1], gpp_sid, texts[2]), TcfRules(), now_us)
    given_texts = sum(text is not None for text in texts)
    assert (read is None) == (given_texts == 0)
    if read is not None:
        assert len(read.outcomes) == given_texts
        assert read.refusal is None or read.consent.purposes == set()


@pytest.mark.parametrize(
    "text",
    [
        "." * MAX_CHARS,
        "C" * MAX_CHARS,
        Tc(restrictions=[(purpose, 0, [(1, 65_535)] * 115) for purpose in range(1, 6)]).text(),
        Tc(restrictions=[(7, 1, [])] * 96).text(),
        gpp(dict.fromkeys(range(1, 800), "1YNN"), grouped=False)[:MAX_CHARS],
        "DBAB" + "~" * (MAX_CHARS - 4),
    ],
    ids=["dots", "letters", "ranges", "restrictions", "sections", "tildes"],
)
def test_the_costliest_strings_take_no_longer_than_their_length_allows(text: str) -> None:
    """Each takes up to a millisecond; a reader that spells ranges out or copies the text for each field, seconds."""
    assert len(text) <= MAX_CHARS
    begun_s = time.process_time()
    for tail in range(10):
        # None of them was read before.
        rules = TcfRules(purpose_one_countries=frozenset({str(tail)}))
        reading(tcf=text, rules=rules)
        reading(gpp=text, rules=rules)
    assert time.process_time() - begun_s < 1


REGS = {"gdpr": 1, "gpp": gpp({2: FRENCH, 7: OUT}), "gpp_sid": [7], "us_privacy": "1YNN"}


@pytest.mark.parametrize(
    ("regs", "user", "expected"),
    [
        ({}, {}, ConsentStrings()),
        ({"gdpr": 1}, {"consent": "C"}, ConsentStrings(tcf="C")),
        ({"ext": {"gdpr": 1}}, {"ext": {"consent": "C"}}, ConsentStrings(tcf="C")),
        ({}, {"consent": "C"}, ConsentStrings(tcf="C")),
        ({"gdpr": 0}, {"consent": "C"}, ConsentStrings()),
        ({"gdpr": 1}, {}, ConsentStrings(tcf="")),
        ({"gdpr": 1, "us_privacy": "1YNN"}, {}, ConsentStrings(tcf="", us_privacy="1YNN")),
        ({"gdpr": 1, "gpp": "D", "gpp_sid": [7]}, {}, ConsentStrings(gpp="D", gpp_sid=(7, 2))),
        ({"gdpr": 1, "gpp": "D"}, {}, ConsentStrings(gpp="D", gpp_sid=(2,))),
        ({"gpp": "D", "gpp_sid": [7]}, {}, ConsentStrings(gpp="D", gpp_sid=(7,))),
        ({"ext": {"gpp": "D", "gpp_sid": [7], "us_privacy": "1---"}}, {}, ConsentStrings(None, "D", (7,), "1---")),
        ({"us_privacy": 1, "gpp": ["D"]}, {"consent": {}}, ConsentStrings("", "", (), "")),
        ({"gpp": "D", "gpp_sid": "7"}, {}, ConsentStrings(gpp="D", gpp_sid=(-2,))),
        ({"gpp": "D", "gpp_sid": [True]}, {}, ConsentStrings(gpp="D", gpp_sid=(-2,))),
        ({"coppa": 1, "us_privacy": "1YNN"}, {"consent": FRENCH}, ConsentStrings(tcf="")),
        ({"ext": "none"}, {"ext": None}, ConsentStrings()),
    ],
)
def test_openrtb_fields_are_found_where_both_versions_have_them(
    regs: dict[str, object], user: dict[str, object], expected: ConsentStrings
) -> None:
    assert openrtb_consent(regs, user) == expected


def test_openrtb_where_gdpr_applies_needs_a_tc_string() -> None:
    strings = openrtb_consent(json.loads(json.dumps(REGS)), {})
    read = read_consent_strings(strings, TcfRules(), NOW_US)
    assert read is not None
    assert read.consent.purposes == AFTER_OPT_OUT
    without = openrtb_consent({**REGS, "gpp": gpp({7: IN})}, {})
    refused = read_consent_strings(without, TcfRules(), NOW_US)
    assert refused is not None
    assert (refused.consent.purposes, refused.refusal) == (frozenset(), Refusal.SECTION_MISSING)
