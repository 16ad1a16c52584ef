"""A segment in slices says what it says as a whole."""

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from pyroaring import BitMap

from bihuan_scoring.tag_index import segment_file
from bihuan_scoring.tag_index.column import put_column, within
from bihuan_scoring.tag_index.content import (
    COVERS,
    PERSONS,
    Content,
    bitmap_of,
    flag_key,
    number_key,
    segment_key,
    text_key,
    texts_key,
)
from bihuan_scoring.tag_index.index import TagIndex
from bihuan_scoring.tag_index.segment_file import BitmapCache, opened, save
from bihuan_scoring.tag_index.slicing import SLICE, bounds_of
from bihuan_shared.targeting import Span, parse

NOW_US = 1_800_000_000_000_000
EXPRESSIONS = (
    'sex == "f" and age in 25..34 and spend > 100 and not segment("lapsed")',
    'sex != "f" and spend <= 12.5 or member and age >= 80',
    "member and spend > 30 and age in 20..60",
    'not (member or sex == "f") and not spend > 50',
    'sex in ["f", "x"] and (age < 20 or spend in 5..7)',
    "member and age in 20..70 and not spend in 10..200",
    'segment("rare") and (spend > 10 or not age > 40)',
    'sex == "x" or age == 18 or not spend > 0',
)


@pytest.fixture(scope="module")
def content() -> Content:
    random = np.random.default_rng(11)
    persons = np.flatnonzero(random.random(600_000) < 0.5).astype(np.uint32)
    bitmaps: dict[str, BitMap] = {PERSONS: bitmap_of(persons), COVERS: bitmap_of(persons)}
    arrays: dict[str, np.ndarray] = {}
    sexes = random.choice(["f", "m", "x"], len(persons), p=[0.48, 0.5, 0.02])
    for sex in ("f", "m", "x"):
        bitmaps[text_key("sex", sex)] = bitmap_of(persons[sexes == sex])
    bitmaps[texts_key("sex")] = bitmaps[PERSONS]
    for key, share in (
        (flag_key("member", value=True), 0.3),
        (segment_key("lapsed"), 0.2),
        (segment_key("rare"), 0.01),
    ):
        bitmaps[key] = bitmap_of(persons[random.random(len(persons)) < share])
    put_column(bitmaps, arrays, number_key("age"), persons, random.integers(18, 90, len(persons)).astype(float))
    some = persons[random.random(len(persons)) < 0.6]
    put_column(bitmaps, arrays, number_key("spend"), some, random.exponential(50, len(some)))
    return Content(0, NOW_US, bitmaps, arrays)


@pytest.mark.parametrize("text", EXPRESSIONS)
def test_slices_find_whom_the_whole_finds(
    content: Content, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(segment_file, "bounds_of", partial(bounds_of, size=60_000))
    stored = opened(tmp_path, save(tmp_path, content), BitmapCache(1 << 24))
    assert len(stored.slices()) > 3
    whole, sliced = (TagIndex.of([one]).members(parse(text), NOW_US, _nobody) for one in (content, stored))
    assert sliced[0] == whole[0]
    assert 0 < len(whole[0]) < len(content.persons)


def test_what_is_asked_leaves_the_stored_bitmaps_as_they_were(content: Content) -> None:
    before = {key: bitmap.copy() for key, bitmap in content.bitmaps.items()}
    index = TagIndex.of([content])
    for text in EXPRESSIONS:
        index.members(parse(text), NOW_US, _nobody)
    assert {key: content.bitmaps[key] for key in before} == before


@pytest.mark.parametrize("share", [0.9, 0.01])
def test_a_range_among_some_is_that_of_everyone_cut_to_them(content: Content, share: float) -> None:
    random = np.random.default_rng(3)
    among = bitmap_of(np.flatnonzero(random.random(600_000) < share).astype(np.uint32))
    kept = among.copy()
    for column in ("age", "spend"):
        for low, high in random.uniform(0, 120, (40, 2)).tolist():
            span = Span(low, high)
            found = within(content, number_key(column), span, among)
            assert found == within(content, number_key(column), span) & among
    assert among == kept


def test_slices_begin_at_containers_and_a_small_segment_is_one() -> None:
    assert bounds_of(BitMap(range(SLICE))) == (0, 1 << 32)
    assert bounds_of(BitMap(range(300_000)), 100_000) == (0, 65_536, 196_608, 1 << 32)


def _nobody(_audience_id: str, _block: int) -> BitMap:
    return BitMap()
