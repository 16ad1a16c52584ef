"""What a TC string allows: our purposes by the IAB's, restrictions of publishers, our vendor id, purpose one."""

from itertools import chain, combinations

import pytest
from consent_strings import EVERY_PURPOSE, Tc

from bihuan_shared.consent import Purpose, Refusal, TcfRules
from bihuan_shared.consent.refusal import Refused
from bihuan_shared.consent.tcf import decode_tc_string
from bihuan_shared.consent.tcf_rules import LIFETIME_US, purposes_of

OURS = 52
T, P, M, I = Purpose.TARGETING, Purpose.PERSONALISATION, Purpose.MEASUREMENT, Purpose.INSIGHT  # noqa: E741  # as above
ALL = {T, P, M, I}
CONSENT_ONLY = (1, 3, 4, 5, 6)
NOT_ALLOWED, REQUIRE_CONSENT, REQUIRE_INTEREST, UNDEFINED = range(4)


def allowed(tc: Tc, rules: TcfRules | None = None) -> frozenset[Purpose]:
    return purposes_of(decode_tc_string(tc.text()), rules or TcfRules())


def refusal(tc: Tc, rules: TcfRules | None = None) -> Refusal:
    with pytest.raises(Refused) as caught:
        allowed(tc, rules)
    return caught.value.refusal


@pytest.mark.parametrize(
    ("consents", "expected"),
    [
        (set(), set()),
        ({1}, set()),
        ({1, 3}, set()),
        ({1, 4}, {P}),
        ({3, 4}, set()),
        ({1, 3, 4}, {T, P}),
        ({1, 5}, set()),
        ({1, 6}, set()),
        ({5, 6}, set()),
        ({1, 5, 6}, {P}),
        ({1, 3, 5, 6}, {P}),
        ({3, 4, 5, 6}, set()),
        ({7}, {M}),
        ({9}, {I}),
        ({2, 8, 10, 11}, set()),
        (set(range(12, 25)), set()),
        ({1, 3, 4, 7}, {T, P, M}),
        (EVERY_PURPOSE - {1}, {M, I}),
        (EVERY_PURPOSE - {3}, {P, M, I}),
        (EVERY_PURPOSE - {4}, {P, M, I}),
        (EVERY_PURPOSE - {4, 5}, {M, I}),
        (EVERY_PURPOSE - {4, 6}, {M, I}),
        (EVERY_PURPOSE - {7}, {T, P, I}),
        (EVERY_PURPOSE - {9}, {T, P, M}),
        (EVERY_PURPOSE, ALL),
    ],
)
def test_consent_to_the_purposes_of_the_iab_allows_ours(consents: set[int], expected: set[Purpose]) -> None:
    assert allowed(Tc(consents=consents)) == expected


@pytest.mark.parametrize("purpose", sorted(EVERY_PURPOSE))
def test_legitimate_interest_stands_in_for_consent_to_measuring_and_insight_only(purpose: int) -> None:
    expected = {7: {M}, 9: {I}}.get(purpose, set())
    assert allowed(Tc(consents=(), interests={purpose})) == expected


def test_legitimate_interest_in_everything_allows_no_more_and_takes_nothing_away() -> None:
    for consents in chain.from_iterable(combinations(CONSENT_ONLY, size) for size in range(6)):
        plain = allowed(Tc(consents=consents))
        assert allowed(Tc(consents=consents, interests=EVERY_PURPOSE)) == plain | {M, I}


@pytest.mark.parametrize("kind", [NOT_ALLOWED, UNDEFINED])
@pytest.mark.parametrize(
    ("purpose", "expected"), [(1, {M, I}), (3, {P, M, I}), (4, {P, M, I}), (7, {T, P, I}), (8, ALL), (9, {T, P, M})]
)
def test_a_purpose_that_the_publisher_does_not_allow_is_out(purpose: int, kind: int, expected: set[Purpose]) -> None:
    tc = Tc(interests={7, 9}, restrictions=[(purpose, kind, [(1, 100)])])
    assert allowed(tc) == expected


@pytest.mark.parametrize("purpose", [7, 9])
def test_a_publisher_who_requires_consent_ends_legitimate_interest(purpose: int) -> None:
    ours = {7: M, 9: I}[purpose]
    demand = [(purpose, REQUIRE_CONSENT, [(1, 100)])]
    assert ours not in allowed(Tc(consents=(), interests={7, 9}, restrictions=demand))
    assert ours in allowed(Tc(consents={7, 9}, restrictions=demand))


@pytest.mark.parametrize("purpose", [7, 9])
def test_a_publisher_who_requires_legitimate_interest_ends_consent(purpose: int) -> None:
    ours = {7: M, 9: I}[purpose]
    demand = [(purpose, REQUIRE_INTEREST, [(1, 100)])]
    assert ours not in allowed(Tc(consents={7, 9}, restrictions=demand))
    assert ours in allowed(Tc(consents=(), interests={7, 9}, restrictions=demand))


@pytest.mark.parametrize(("purpose", "expected"), [(1, {M, I}), (3, {P, M, I}), (4, {P, M, I})])
def test_a_purpose_that_has_no_legitimate_interest_is_out_where_it_is_required(
    purpose: int, expected: set[Purpose]
) -> None:
    demand = [(purpose, REQUIRE_INTEREST, [(1, 100)])]
    assert allowed(Tc(interests=EVERY_PURPOSE, restrictions=demand)) == expected | {M, I}


@pytest.mark.parametrize("purpose", sorted(EVERY_PURPOSE))
def test_requiring_consent_changes_nothing_where_consent_is_given(purpose: int) -> None:
    assert allowed(Tc(restrictions=[(purpose, REQUIRE_CONSENT, [(1, 100)])])) == ALL


def test_demands_that_contradict_each_other_leave_nothing() -> None:
    both = [(7, REQUIRE_CONSENT, [(1, 9)]), (7, REQUIRE_INTEREST, [(1, 9)])]
    assert allowed(Tc(interests={7}, restrictions=both)) == {T, P, I}


def test_a_restriction_counts_for_the_vendors_that_it_names_and_without_an_id_for_us() -> None:
    ours = Tc(vendors={OURS}, restrictions=[(7, NOT_ALLOWED, [(1, OURS - 1), (OURS + 1, 65_535)])])
    assert allowed(ours, TcfRules(vendor_id=OURS)) == ALL
    assert allowed(ours) == {T, P, I}
    for spans in ([(OURS, OURS)], [(1, 2), (OURS, OURS + 1)]):
        named = Tc(vendors={OURS}, restrictions=[(7, NOT_ALLOWED, spans)])
        assert allowed(named, TcfRules(vendor_id=OURS)) == {T, P, I}
    nobody = Tc(restrictions=[(7, NOT_ALLOWED, [])])
    assert allowed(nobody) == ALL


@pytest.mark.parametrize("ranged", [False, True])
def test_our_vendor_needs_the_basis_that_the_purpose_has(*, ranged: bool) -> None:
    rules = TcfRules(vendor_id=OURS)
    neighbours = {OURS - 1, OURS + 1}
    both = Tc(interests={7, 9}, vendors={OURS}, vendor_interests={OURS}, ranged=ranged)
    assert allowed(both, rules) == ALL
    by_interest = Tc(interests={7}, vendors=neighbours, vendor_interests={OURS}, ranged=ranged)
    assert allowed(by_interest, rules) == {M}
    by_consent = Tc(consents={9}, interests={7}, vendors={OURS}, vendor_interests=neighbours, ranged=ranged)
    assert allowed(by_consent, rules) == {I}
    assert refusal(Tc(vendors=neighbours, vendor_interests=neighbours, ranged=ranged), rules) == "VENDOR_NOT_ALLOWED"
    assert allowed(Tc(vendors=neighbours, ranged=ranged)) == ALL


def test_our_vendor_must_be_disclosed_where_the_string_says_who_was() -> None:
    rules = TcfRules(vendor_id=OURS)
    assert allowed(Tc(vendors={OURS}, disclosed={OURS}), rules) == ALL
    assert refusal(Tc(vendors={OURS}, disclosed={OURS + 1}), rules) is Refusal.VENDOR_NOT_ALLOWED
    assert refusal(Tc(vendors={OURS}, disclosed=()), rules) is Refusal.VENDOR_NOT_ALLOWED
    assert allowed(Tc(vendors={OURS}, disclosed=())) == ALL


def test_allowed_vendors_and_the_publishers_own_purposes_change_nothing() -> None:
    tc = Tc(consents={7}, vendors={OURS}, allowed=(), publisher=EVERY_PURPOSE, custom={1})
    assert allowed(tc, TcfRules(vendor_id=OURS)) == {M}


def test_purpose_one_that_was_not_disclosed_counts_only_in_countries_that_ask_for_no_consent() -> None:
    tc = Tc(consents={3, 4}, purpose_one_treatment=True, country="ZZ")
    there = TcfRules(purpose_one_countries=frozenset({"ZZ"}))
    assert allowed(tc, there) == {T, P}
    assert allowed(tc) == set()
    assert allowed(tc, TcfRules(purpose_one_countries=frozenset({"AA"}))) == set()
    assert allowed(Tc(consents={3, 4}, country="ZZ"), there) == set()
    restricted = Tc(consents={3, 4}, purpose_one_treatment=True, country="ZZ", restrictions=[(1, 0, [(1, 9)])])
    assert allowed(restricted, there) == set()
    ours = TcfRules(vendor_id=OURS, purpose_one_countries=frozenset({"ZZ"}))
    assert refusal(tc, ours) is Refusal.VENDOR_NOT_ALLOWED


@pytest.mark.parametrize("policy", range(64))
def test_only_the_policies_of_tcf_2_2_and_2_3_are_known(policy: int) -> None:
    if policy in {4, 5}:
        assert allowed(Tc(policy=policy)) == ALL
    else:
        assert refusal(Tc(policy=policy)) is Refusal.POLICY_UNKNOWN


def test_a_string_of_global_scope_is_invalid() -> None:
    assert refusal(Tc(service_specific=False)) is Refusal.GLOBAL_SCOPE


def test_a_string_lasts_thirteen_months_of_thirty_days() -> None:
    assert LIFETIME_US == 13 * 30 * 86_400 * 1_000_000
