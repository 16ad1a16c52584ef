"""Counts of persons as they are told: always the same for the same, and never telling of one person."""

import hashlib
import statistics
from itertools import pairwise, product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from bihuan_scoring.domain.reach import FLOOR, FLOOR_SPREAD, LAYER_MOST, ReachNoise
from bihuan_scoring.settings import Settings

KEY = bytes(range(32))
NOISE = ReachNoise(KEY)
COUNTS = st.integers(0, 10**9)
TEXTS = st.text(max_size=20)


def digest(name: object) -> bytes:
    return hashlib.sha256(repr(name).encode()).digest()


@given(COUNTS, st.binary(min_size=32, max_size=32), TEXTS)
def test_same_set_and_question_are_always_told_the_same(count: int, members: bytes, meaning: str) -> None:
    assert NOISE.told(count, members, meaning) == ReachNoise(KEY).told(count, members, meaning)


@given(COUNTS, st.binary(min_size=32, max_size=32), TEXTS)
def test_told_is_a_multiple_of_ten_near_the_count_and_never_of_fewer_than_the_floor(
    count: int, members: bytes, meaning: str
) -> None:
    told = NOISE.told(count, members, meaning)
    if told is None:
        assert count < FLOOR + FLOOR_SPREAD
    else:
        assert count >= FLOOR
        assert (told % 10, told >= FLOOR) == (0, True)
        assert abs(told - count) <= 2 * LAYER_MOST + 5


def differences(count: int, *, same_set: bool) -> list[int]:
    """Between two questions of which the second leaves out one person, or says so and leaves out nobody."""
    found = []
    for n in range(3_000):
        smaller = digest((n, "with")) if same_set else digest((n, "without"))
        whole = NOISE.told(count, digest((n, "with")), f"a{n}")
        rest = NOISE.told(count if same_set else count - 1, smaller, f"a{n} and not b")
        assert whole is not None
        assert rest is not None
        found.append(whole - rest)
    return found


def test_difference_of_neighbours_does_not_tell_whether_one_person_was_left_out() -> None:
    """Whoever guesses from one difference whether the person was in is right hardly more often than by a coin."""
    left_out, nobody = differences(1_000, same_set=False), differences(1_000, same_set=True)
    values = set(left_out) | set(nobody)
    advantage = sum(abs(left_out.count(value) - nobody.count(value)) for value in values) / (2 * 3_000)
    assert advantage < 0.2
    assert abs(statistics.fmean(left_out)) < 2
    # Equal answers do not prove an equal set, and other answers no other one.
    assert 0 in left_out
    assert any(nobody)


def test_a_person_more_or_less_over_time_draws_anew() -> None:
    """The same question on two days: without a layer of the set the difference would be the person."""
    pairs = [(NOISE.told(1_000, digest((n, 0)), "q"), NOISE.told(1_001, digest((n, 1)), "q")) for n in range(500)]
    rises = [(after or 0) - (before or 0) for before, after in pairs]
    assert statistics.pstdev(rises) > 4
    assert min(rises) < 0 < max(rises)


def test_other_spellings_do_not_average_the_noise_out() -> None:
    """The mean over many questions with one answer keeps the noise of that set."""
    offs = []
    for n in range(60):
        told = [NOISE.told(100_000, digest(n), f"q and age > {age}") or 0 for age in range(-300, 0)]
        offs.append(statistics.fmean(told) - 100_000)
    assert statistics.pstdev(offs) > 2.5


def test_the_floor_tells_of_no_single_person() -> None:
    """Next to the floor it is a draw whether anything is told, so that no step from one to the next count shows."""
    shares = []
    for count in range(FLOOR - 2, FLOOR + FLOOR_SPREAD + 2):
        told = [NOISE.told(count, digest((count, n)), f"q{n}") is not None for n in range(2_000)]
        shares.append(statistics.fmean(told))
    assert shares[:2] == [0, 0]
    assert shares[-1] == 1
    assert max(after - before for before, after in pairwise(shares)) < 0.15


def test_another_key_draws_other_noise() -> None:
    other = ReachNoise(bytes(32))
    asked = list(product(range(1_000, 1_020), "abcde"))
    assert [NOISE.told(n, digest(n), q) for n, q in asked] != [other.told(n, digest(n), q) for n, q in asked]


def test_the_key_comes_from_its_secret_or_else_from_that_of_the_service() -> None:
    own, service = SecretStr("r" * 32), SecretStr("s" * 32)
    keys = {
        Settings(reach_secret=own).reach_key(),
        Settings(reach_secret=own, caller_secret=service).reach_key(),
        Settings(caller_secret=service).reach_key(),
    }
    assert len(keys) == 2
    assert Settings(caller_secret=service).reach_key() in keys
    assert Settings().reach_key() != Settings().reach_key()
    with pytest.raises(ValidationError):
        Settings(reach_secret=SecretStr("r" * 31))
