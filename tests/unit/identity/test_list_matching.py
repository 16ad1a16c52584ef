"""Matching a list: exact counts above the floor, silence below it, and no more memory than the counts need."""

import random
from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.graph import Attachment, KeyedIdentifier
from bihuan_identity.domain.matching import PRIVACY_FLOOR, DistinctKeys, MatchTally
from bihuan_identity.use_cases.matching import ListMatch, MatchBounds, Matched, Matching, MatchPurpose
from bihuan_shared.errors import FailedPrecondition, PermissionDenied, ResourceExhausted
from tests.unit.identity.partner_fakes import START_US, MemoryPersons, pseudonyms

PLATFORM = MatchPurpose(None, include_tokens=False)
DSP = MatchPurpose("dsp", include_tokens=True)
keys_16 = st.binary(min_size=16, max_size=16)


def key(number: int) -> bytes:
    return random.Random(number).randbytes(16)


def known(number: int) -> KeyedIdentifier:
    return KeyedIdentifier(key(number), "cookie", 1_000_000, 64)


class Index:
    """Knows the identifiers 0 up to `size`; `per_person` of them belong to each person. Counts what it is asked."""

    def __init__(self, size: int, per_person: int = 1) -> None:
        self.known = {key(n): Attachment(1 + n // per_person, 1_000_000) for n in range(size)}
        self.most = 0

    async def look_up(self, identifiers: Sequence[KeyedIdentifier]) -> Mapping[bytes, Attachment]:
        self.most = max(self.most, len(identifiers))
        return {one.key: self.known[one.key] for one in identifiers if one.key in self.known}


def matching(index: Index, **bounds: int) -> Matching:
    return Matching(index.look_up, pseudonyms(MemoryPersons(last=10**6)), MatchBounds(**bounds))


async def match(made: Matching, purpose: MatchPurpose, *parts: Sequence[int]) -> Matched:
    with ListMatch(made, purpose, START_US) as listed:
        for part in parts:
            await listed.add([known(number) for number in part], len(part))
        return await listed.close()


async def test_counts_are_of_different_identifiers_and_everything_sent() -> None:
    made = matching(Index(200, per_person=2))
    counts = (await match(made, PLATFORM, range(150, 250), range(150, 250), range(100))).counts
    assert (counts.sent, counts.matched, len(counts.persons)) == (300, 150, 75)
    assert not counts.below_floor


@pytest.mark.parametrize(("persons", "told"), [(PRIVACY_FLOOR - 1, 0), (PRIVACY_FLOOR, 2 * PRIVACY_FLOOR)])
async def test_fewer_than_fifty_persons_are_only_told_to_be_fewer(persons: int, told: int) -> None:
    """However many identifiers they have: here two each."""
    made = matching(Index(2 * persons, per_person=2))
    answer = await match(made, DSP, range(1_000))
    assert (answer.counts.sent, answer.counts.matched) == (1_000, told)
    assert answer.counts.below_floor == (told == 0)
    assert len(answer.tokens) == (persons if told else 0)
    assert len(answer.counts.persons) == (persons if told else 0)


async def test_tokens_are_the_partners_own_of_everyone_matched_in_an_order_without_meaning() -> None:
    made = matching(Index(100))
    answer = await match(made, DSP, range(100))
    opened = [made.pseudonyms.keys.open("dsp", token).person_id for token in answer.tokens]
    assert sorted(opened) == list(range(1, 101)) != opened
    assert not answer.truncated
    assert (await match(made, MatchPurpose("dsp", include_tokens=False), range(100))).tokens == ()


async def test_tokens_are_bounded_and_say_so() -> None:
    answer = await match(matching(Index(100), tokens=60), DSP, range(100))
    assert (len(answer.tokens), answer.truncated, answer.counts.matched) == (60, True, 100)
    exact = await match(matching(Index(100), tokens=100), DSP, range(100))
    assert (len(exact.tokens), exact.truncated) == (100, False)


async def test_erased_persons_have_no_token_in_the_answer() -> None:
    made = Matching(Index(100).look_up, pseudonyms(MemoryPersons(last=1_000, withdrawn={5})))
    assert len((await match(made, DSP, range(100))).tokens) == 99


@pytest.mark.parametrize("partner", ["nobody", "gone", "shop"])
async def test_who_may_not_match_is_refused_before_anything_is_read(partner: str) -> None:
    with pytest.raises(PermissionDenied) as refused:
        ListMatch(matching(Index(0)), MatchPurpose(partner, include_tokens=False), START_US)
    assert refused.value.reason == "PARTNER_NOT_ALLOWED"


async def test_who_may_count_but_get_no_tokens_is_told_so() -> None:
    made = matching(Index(100))
    assert (await match(made, MatchPurpose("counter", include_tokens=False), range(100))).counts.matched == 100
    with pytest.raises(FailedPrecondition) as refused:
        ListMatch(made, MatchPurpose("counter", include_tokens=True), START_US)
    assert refused.value.violations[0].field == "include_tokens"


async def test_lists_are_bounded_in_length_and_in_number() -> None:
    made = matching(Index(0), identifiers=100, lists=1)
    with pytest.raises(ResourceExhausted):
        await match(made, PLATFORM, range(60), range(60))
    with ListMatch(made, PLATFORM, START_US), pytest.raises(ResourceExhausted):
        await match(made, PLATFORM)
    assert made.running == 0
    assert (await match(made, PLATFORM)).counts.below_floor


async def test_a_long_list_is_held_as_counts_and_never_as_a_list() -> None:
    index = Index(100_000, per_person=2)
    made = matching(index)
    numbers = list(range(100_000))
    with ListMatch(made, PLATFORM, START_US) as listed:
        for start in range(0, len(numbers), 1_000):
            await listed.add([known(number) for number in numbers[start : start + 1_000]], 1_000)
            assert listed._tally._keys.held() <= 2 * (start + 1_000)
        counts = (await listed.close()).counts
    assert (counts.sent, counts.matched, len(counts.persons)) == (100_000, 100_000, 50_000)
    assert index.most == 1_000


@given(st.lists(st.lists(keys_16, max_size=30), max_size=20))
def test_different_keys_are_counted_once(parts: list[list[bytes]]) -> None:
    counted = DistinctKeys()
    for part in parts:
        counted.add(part)
    assert counted.count() == len({one[:8] for part in parts for one in part})
    assert counted.held() == counted.count()


def test_repeated_keys_take_no_memory_of_their_own() -> None:
    counted = DistinctKeys()
    keys = [key(number) for number in range(1_000)]
    for _ in range(500):
        counted.add(keys)
    assert counted.held() < 70_000
    assert counted.count() == 1_000


@given(st.lists(st.tuples(keys_16, st.integers(1, 200)), max_size=400), st.integers(0, 1_000))
def test_the_floor_holds_for_every_list(pairs: list[tuple[bytes, int]], sent: int) -> None:
    tally = MatchTally()
    tally.add(sent, pairs)
    counts = tally.close()
    persons = {person for _, person in pairs}
    assert counts.sent == sent
    assert counts.below_floor == (len(persons) < PRIVACY_FLOOR)
    assert set(counts.persons) == (set() if counts.below_floor else persons)
