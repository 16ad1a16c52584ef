"""The tag index says what the evaluator of one person says, as profiles change, time passes and files come and go."""

from collections.abc import Mapping
from dataclasses import replace
from math import exp2
from pathlib import Path
from random import Random

import numpy as np
import pytest
from pyroaring import BitMap, BitMap64
from random_targeting import AUDIENCES, Someone, expression, someone

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.readings import Reading
from bihuan_scoring.tag_index.column import SMALL, bounds_key, put_column, within
from bihuan_scoring.tag_index.content import Content, bitmap_of
from bihuan_scoring.tag_index.decay import INSTANT_HALF_LIFE_US, LONG_HALF_LIFE_US, VISIBLE
from bihuan_scoring.tag_index.drafting import drafted
from bihuan_scoring.tag_index.index import TagIndex
from bihuan_scoring.tag_index.persons import block_of, joined, size_of
from bihuan_scoring.tag_index.population import Audiences
from bihuan_scoring.tag_index.segment_file import BitmapCache, IndexDamaged, opened, save
from bihuan_shared.targeting import Expression, Span, canonical, evaluate, parse

START_US = 1_800_000_000_000_000
BLOCKS = (0, 1, 15)


def _reading(one: Someone, read_us: int = START_US) -> Reading:
    interests = [(tag, long, instant) for tag, (long, instant) in one.interests.items()]
    return Reading(one.person_id, PersonFacts(one.person_id, one.attributes, interests, segments=one.segments), read_us)


def _as_of(one: Someone, read_us: int, now_us: int) -> Someone:
    """The person as profile tells of it later."""
    slow, fast = exp2((read_us - now_us) / LONG_HALF_LIFE_US), exp2((read_us - now_us) / INSTANT_HALF_LIFE_US)
    aged = {tag: (long * slow, instant * fast) for tag, (long, instant) in one.interests.items()}
    return replace(one, interests={tag: weights for tag, weights in aged.items() if max(weights) >= VISIBLE})


def _audiences(people: Mapping[int, Someone]) -> Audiences:
    members = {
        audience_id: BitMap64([one.person_id for one in people.values() if one.in_audience(audience_id)]).serialize()
        for audience_id in AUDIENCES
    }
    return lambda audience_id, block: block_of(members[audience_id], block)


def _matched(index: TagIndex, written: Expression, now_us: int, people: Mapping[int, Someone]) -> list[int]:
    return list(joined(index.members(written, now_us, _audiences(people))))


@pytest.mark.parametrize("seed", range(10))
def test_the_index_agrees_with_one_person_at_a_time_on_a_thousand_expressions(seed: int, tmp_path: Path) -> None:
    """Persons come, change, go and come back, segments are merged and stored, and time passes."""
    random = Random(seed)
    cache = BitmapCache(1_000)
    for life in range(10):
        now_us, index = START_US, TagIndex()
        people: dict[int, Someone] = {}
        told_us: dict[int, int] = {}
        for _ in range(4):
            ids = {(random.choice(BLOCKS) << 32) + random.randint(1, 40) for _ in range(random.choice((2, 10, 40)))}
            readings = []
            for person_id in ids:
                if person_id in people and random.random() < 0.3:
                    del people[person_id]
                    readings.append(Reading(person_id, None, now_us))
                else:
                    people[person_id] = someone(random, person_id)
                    told_us[person_id] = now_us
                    readings.append(_reading(people[person_id], now_us))
            index = index.with_changes(drafted(readings, now_us), now_us)
            now_us += random.choice((0, 1, 2, 50)) * INSTANT_HALF_LIFE_US
            if random.random() < 0.5:
                folder = tmp_path / str(life)
                index = TagIndex.of([opened(folder, save(folder, content), cache) for content in index.contents()])
            for _ in range(25):
                written = expression(random)
                expected = sorted(
                    one.person_id
                    for one in people.values()
                    if evaluate(written, _as_of(one, told_us[one.person_id], now_us))
                )
                assert _matched(index, written, now_us, people) == expected, canonical(written)
        assert index.count() == len(people)


@pytest.mark.parametrize("kind", ["few values", "many values", "skewed"])
def test_a_range_over_a_large_column_is_exact_at_its_edges(kind: str) -> None:
    random = np.random.default_rng(5)
    count = 20 * SMALL
    # A multiple of 16 buckets of those that differ.
    persons = np.flatnonzero(random.random(2 * count) < 0.5).astype(np.uint32)[: 16 * SMALL]
    values = {
        "few values": random.integers(18, 90, len(persons)).astype(float),
        "many values": random.normal(0, 100, len(persons)),
        "skewed": np.where(random.random(len(persons)) < 0.9, 7.0, random.exponential(50, len(persons))),
    }[kind]
    bitmaps: dict[str, BitMap] = {}
    arrays: dict[str, np.ndarray] = {}
    put_column(bitmaps, arrays, "n\0x", persons, values)
    content = Content(0, START_US, bitmaps, arrays)
    ends = [*random.choice(values, 12).tolist(), -1e9, 0.0, 7.0, 1e9]
    for _ in range(300):
        low, high = random.choice(ends, 2).tolist()
        span = Span(low, high, bool(random.random() < 0.5), bool(random.random() < 0.5))
        above = values > low if span.low_open else values >= low
        fits = above & (values < high if span.high_open else values <= high)
        assert within(content, "n\0x", span) == bitmap_of(persons[fits]), span
    unequal = max([len(found) for key, found in arrays.items() if key != bounds_key("n\0x")], default=0)
    assert unequal < len(persons) / 4  # no more than that is looked at one by one


def test_an_interest_falls_below_a_threshold_when_its_time_comes() -> None:
    one = Someone(7, interests={"skincare": (1.0, 1.0)})
    index = TagIndex.of(drafted([_reading(one)], START_US))
    written = parse('interest("skincare") > 0.5')
    nobody = _audiences({})
    assert size_of(index.members(written, START_US + LONG_HALF_LIFE_US - 1_000_000, nobody)) == 1
    assert size_of(index.members(written, START_US + LONG_HALF_LIFE_US, nobody)) == 0


def test_an_interest_that_profile_tells_no_more_is_none() -> None:
    index = TagIndex.of(drafted([_reading(Someone(7, interests={"skincare": (1.0, 1.0)}))], START_US))
    written = parse('interest("skincare") > 0.0')
    nobody = _audiences({})
    assert size_of(index.members(written, START_US + 19 * LONG_HALF_LIFE_US, nobody)) == 1
    assert size_of(index.members(written, START_US + 20 * LONG_HALF_LIFE_US, nobody)) == 0


def test_persons_are_due_once_and_not_where_they_were_read_again() -> None:
    facts = PersonFacts(1)
    old = [Reading(person, facts, START_US, START_US + 10 * person) for person in (1, 2, 3)]
    index = TagIndex.of([*drafted(old, START_US), *drafted([Reading(2, facts, START_US)], START_US)])
    assert index.due(START_US, START_US + 20) == [1]
    assert index.due(START_US + 10, START_US + 30) == [3]


def test_segments_are_merged_as_they_come_and_those_who_are_gone_are_forgotten() -> None:
    index = TagIndex()
    for person in range(1, 200):
        index = index.with_changes(drafted([Reading(person, PersonFacts(person), START_US)], START_US), START_US)
    assert len(index.contents()) <= 6
    gone = [Reading(person, None, START_US) for person in range(1, 200)]
    index = index.with_changes(drafted(gone, START_US), START_US)
    assert index.count() == 0
    assert sum(len(content.covers) for content in index.contents()) == 0


def _stored(folder: Path) -> str:
    people = [someone(Random(3), person) for person in range(1, 50)]
    return save(folder, drafted([_reading(one) for one in people], START_US)[0])


def test_a_file_with_a_damaged_directory_is_not_opened(tmp_path: Path) -> None:
    name = _stored(tmp_path)
    content = (tmp_path / name).read_bytes()
    for damaged in (content[:-1], content[:100], b"", content[:-80] + b"\0" + content[-79:]):
        (tmp_path / name).write_bytes(damaged)
        with pytest.raises(IndexDamaged):
            opened(tmp_path, name, BitmapCache(1_000_000))
    with pytest.raises(IndexDamaged):
        opened(tmp_path, "none.tags", BitmapCache(1_000_000))


def test_a_damaged_part_is_found_when_it_is_read(tmp_path: Path) -> None:
    name = _stored(tmp_path)
    content = (tmp_path / name).read_bytes()
    whole = opened(tmp_path, name, BitmapCache(1_000_000))
    starts = [part.offset for part in (*whole.bitmaps._parts.values(), *whole.arrays._parts.values())]  # type: ignore[attr-defined]
    for at in starts:
        (tmp_path / name).write_bytes(content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :])
        damaged = opened(tmp_path, name, BitmapCache(1_000_000))
        with pytest.raises(IndexDamaged):
            _read_all(damaged)


def _read_all(segment: Content) -> None:
    for key in segment.bitmaps:
        segment.bitmap(key)
    list(segment.arrays.values())


def test_a_cache_that_is_too_small_for_all_bitmaps_reads_them_again(tmp_path: Path) -> None:
    name = _stored(tmp_path)
    small, large = (opened(tmp_path, name, BitmapCache(limit)) for limit in (1, 1_000_000))
    assert {key: small.bitmap(key) for key in small.bitmaps} == {key: large.bitmap(key) for key in large.bitmaps}


def test_blocks_are_joined_to_whole_ids_and_taken_apart_again() -> None:
    persons = {0: BitMap([1, 5]), 15: BitMap(range(70_000)), 3: BitMap()}
    whole = joined(persons)
    assert len(whole) == 70_002
    assert (15 << 32) + 69_999 in whole
    assert {block: block_of(whole.serialize(), block) for block in (0, 3, 15)} == persons
