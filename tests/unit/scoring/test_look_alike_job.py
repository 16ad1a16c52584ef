"""The look-alike job in one process: whom it finds, what it refuses, how it is interrupted and taken up."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from look_alike_people import AS_OF_US, belonging, order_for, persons

from bihuan_scoring.lookalike.curve import CurvePoint, Judged, curve, label_frequency, lifts, size_for_precision
from bihuan_scoring.lookalike.evidence import Evidence
from bihuan_scoring.lookalike.job import Stopped, expand
from bihuan_scoring.lookalike.leakage import Definition, Leak
from bihuan_scoring.lookalike.model_file import model_from_json, model_to_json
from bihuan_scoring.lookalike.order import LookAlikeOrder, Unwatched
from bihuan_scoring.lookalike.picture import curve_svg
from bihuan_scoring.lookalike.sampling import fold_of
from bihuan_scoring.lookalike.selection import SCORED, take_best
from bihuan_scoring.lookalike.training import LookAlikeConfig
from bihuan_scoring.lookalike.workers import Item, Result, ThreadWorkers
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.targeting import parse, references

PEOPLE = persons(4_000)
BELONGING = belonging(PEOPLE)
SEEDS = np.sort(np.random.default_rng(1).permutation(BELONGING)[: len(BELONGING) // 2])
QUICK = LookAlikeConfig(folds=3, strengths=(0.01, 0.1), tag_shares=(1.0,), small_rounds=10)


class CountingWorkers(ThreadWorkers):
    """Remembers how many pieces of each kind were worked on."""

    def __init__(self, threads: int = 1) -> None:
        super().__init__(threads)
        self.pieces = 0
        self.grown = 0

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        for result in super().map(function, items):
            self.pieces += 1
            yield result

    def grow(self, order: object, seed: int) -> str:
        self.grown += 1
        return super().grow(order, seed)  # type: ignore[arg-type]


class StopAt(Unwatched):
    """Stops the job once it is so far."""

    def __init__(self, share: float) -> None:
        self._share = share
        self._done = 0.0
        self.seen: list[float] = []

    def progress(self, share: float) -> None:
        self._done = share
        self.seen.append(share)

    def stopped(self) -> bool:
        return self._done >= self._share


def test_package_is_rich_in_those_who_belong_and_holds_no_seed(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK)
    package = expand(order, ThreadWorkers(2), tmp_path / "job")
    assert len(package.person_ids) == order.target_size
    assert np.all(np.diff(package.person_ids) > 0)
    assert not np.isin(package.person_ids, SEEDS).any()
    hidden = np.setdiff1d(BELONGING, SEEDS)
    by_chance = len(hidden) / (len(PEOPLE) - len(SEEDS))
    assert np.isin(package.person_ids, hidden).mean() > 3 * by_chance
    assert {each.feature for each in package.evidence.reasons[:4]} & {"activity_coupon_long", "tag_category:tea"}
    assert [each.share for each in package.evidence.lifts] == [0.01, 0.05, 0.10, 0.20]
    assert Evidence.from_json(package.evidence.to_json()) == package.evidence


def test_same_order_gives_the_same_package_whatever_the_threads(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK)
    first = expand(order, ThreadWorkers(1), tmp_path / "one")
    second = expand(order, ThreadWorkers(3), tmp_path / "two")
    assert first.person_ids.tolist() == second.person_ids.tolist()
    assert first.evidence == second.evidence


@pytest.mark.parametrize("share", [0.1, 0.6])
def test_stopped_job_goes_on_where_it_was(tmp_path: Path, share: float) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK)
    whole = CountingWorkers()
    expected = expand(order, whole, tmp_path / "whole").person_ids
    watch = StopAt(share)
    with pytest.raises(Stopped):
        expand(order, CountingWorkers(), tmp_path / "job", watch)
    assert watch.seen == sorted(watch.seen)
    kept = len(list((tmp_path / "job").glob("scores-*.npy")))
    again = CountingWorkers()
    assert expand(order, again, tmp_path / "job").person_ids.tolist() == expected.tolist()
    if share > 0.4:
        assert kept > 0
        assert (again.grown, again.pieces) == (0, 4)
    else:
        assert again.grown == whole.grown


def test_another_order_in_the_same_folder_starts_over(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK)
    expand(order, ThreadWorkers(), tmp_path / "job")
    fewer = replace(order, seed_ids=SEEDS[: len(SEEDS) * 3 // 4])
    expected = expand(fewer, ThreadWorkers(), tmp_path / "fresh")
    found = expand(fewer, ThreadWorkers(), tmp_path / "job")
    assert found.person_ids.tolist() == expected.person_ids.tolist()


def test_expansion_to_a_precision_is_as_large_as_the_curve_says(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK, target_size=0, least_precision=0.5)
    package = expand(order, ThreadWorkers(), tmp_path / "job")
    assert len(package.person_ids) == size_for_precision(package.evidence.curve, 0.5) > 0


def test_fewer_than_a_hundred_seeds_are_refused(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, np.arange(1, 100, dtype=np.int64))
    with pytest.raises(FailedPrecondition, match="100 seeds"):
        expand(order, ThreadWorkers(), tmp_path / "job")
    elsewhere = replace(order, seed_ids=np.arange(100_000, 100_200, dtype=np.int64))
    with pytest.raises(FailedPrecondition, match="with a profile"):
        expand(elsewhere, ThreadWorkers(), tmp_path / "job")


def test_what_defines_the_seed_is_named_and_not_used(tmp_path: Path) -> None:
    expression = references(parse('city == "north" and interest("category:tea") > 1 and segment("loyal")'))
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK, definition=Definition.of([expression]))
    package = expand(order, ThreadWorkers(), tmp_path / "job")
    named = {each.feature for each in package.evidence.dropped if each.leak is Leak.DEFINES_SEED}
    assert named == {"attribute_city", "tag_category:tea", "tag_segment:loyal"}
    assert not named & set(package.model.layout.names)
    assert package.model.layout.column_of_tag("category:tea") == -1


def test_what_alone_tells_seeds_is_named_and_not_used(tmp_path: Path) -> None:
    seeds = set(SEEDS.tolist())
    marked = [
        replace(
            p,
            attributes={**p.attributes, "crm": 1.0 if p.person_id in seeds else 0.0},
            interests=[*p.interests, *([("list:won", 1.0, 0.0)] if p.person_id in seeds else [])],
        )
        for p in PEOPLE
    ]
    package = expand(order_for(tmp_path, marked, SEEDS, config=QUICK), ThreadWorkers(), tmp_path / "job")
    named = {each.feature: each.value for each in package.evidence.dropped if each.leak is Leak.SEPARATES_ALONE}
    assert named.keys() == {"attribute_crm", "tag_list:won"}
    assert min(named.values()) > 0.95
    assert not named.keys() & set(package.model.layout.names)


def test_what_is_younger_than_the_seed_is_named_and_not_used(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK, cut_off_us=AS_OF_US - 1)
    package = expand(order, ThreadWorkers(), tmp_path / "job")
    named = {each.feature for each in package.evidence.dropped if each.leak is Leak.AFTER_CUT_OFF}
    assert named == {"attribute_city"}
    later = replace(order, cut_off_us=AS_OF_US - 10_000 * 60_000_000)
    named = {each.feature for each in expand(later, ThreadWorkers(), tmp_path / "job").evidence.dropped}
    assert {"rfm_recency_days", "rfm_frequency", "attribute_city"} <= named


def test_large_data_are_judged_by_a_fifth_that_was_not_trained_on(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=replace(QUICK, small_rows=100, large_rounds=20, folds=5))
    package = expand(order, ThreadWorkers(), tmp_path / "job")
    assert package.model.logit is None
    assert package.evidence.figures["rounds"] == 20
    assert package.evidence.lifts[2].lift > 2


def test_model_survives_as_text(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS, config=QUICK)
    model = expand(order, ThreadWorkers(), tmp_path / "job").model
    again = model_from_json(model_to_json(model))
    rows = np.random.default_rng(2).random((50, len(model.layout.names)), dtype=np.float32)
    assert again.layout == model.layout
    assert again.scores(rows).tobytes() == model.scores(rows).tobytes()
    assert np.allclose(
        model.parts(rows).sum(axis=1) - model.parts(rows[:1]).sum(), model.raw(rows) - model.raw(rows[:1]), atol=1e-6
    )


@given(st.lists(st.floats(-3, 3, width=16), min_size=1, max_size=60), st.integers(0, 70), st.integers(1, 7))
def test_the_best_are_those_with_the_highest_scores(scores: list[float], count: int, pieces: int) -> None:
    rows = np.zeros(len(scores), dtype=SCORED)
    rows["person_id"], rows["score"] = np.arange(1, len(scores) + 1), scores
    with pytest.MonkeyPatch.context() as patch:
        parts = np.array_split(rows, pieces)
        patch.setattr(np, "load", lambda path: parts[int(path.name)])
        found = take_best([Path(str(k)) for k in range(pieces)], count, 3)
    assert len(found) == min(count, len(scores))
    left = np.setdiff1d(rows["person_id"], found)
    if len(left) and len(found):
        assert rows["score"][found - 1].min() >= rows["score"][left - 1].max()


def test_lift_of_chance_is_one_and_of_perfection_the_most_there_can_be() -> None:
    is_seed = np.arange(1_000) < 100
    chance = Judged(np.zeros(1_000), is_seed, 100, 900)
    assert [each.lift for each in lifts(chance, 1)] == [1.0] * 4
    perfect = Judged(is_seed.astype(np.float64), is_seed, 100, 900)
    assert lifts(perfect, 1, (0.1,))[0].lift == 10.0
    assert label_frequency(perfect) == 1.0


def test_curve_tells_rounded_sizes_and_draws_them() -> None:
    random = np.random.default_rng(5)
    is_seed = np.arange(5_000) < 500
    judged = Judged(random.normal(is_seed * 1.5, 1.0), is_seed, 50_000, 1_234_567)
    points = curve(judged, 0.5)
    assert all(point.size == float(f"{point.size:.1e}") for point in points)
    assert [p.recall for p in points] == sorted(p.recall for p in points)
    assert [p.precision for p in points] == sorted((p.precision for p in points), reverse=True)
    assert ET.fromstring(curve_svg(points, "a & b")).tag.endswith("svg")  # noqa: S314  # our own picture
    assert size_for_precision([CurvePoint(5, 0.1, 0.2, 2.0)], 0.3) == 0


def test_folds_follow_from_the_person_alone() -> None:
    ids = np.arange(1, 10_001, dtype=np.int64)
    folds = fold_of(ids, 5, 7)
    assert folds[::-1].tolist() == fold_of(ids[::-1], 5, 7).tolist()
    assert np.bincount(folds).min() > 1_800


def test_order_of_another_snapshot_has_another_fingerprint(tmp_path: Path) -> None:
    order = order_for(tmp_path, PEOPLE, SEEDS)
    prints = {
        order.fingerprint(),
        replace(order, target_size=7).fingerprint(),
        replace(order, paths=order.paths[:2]).fingerprint(),
        replace(order, definition=Definition(tags=frozenset({"x"}))).fingerprint(),
    }
    assert len(prints) == 4
    assert isinstance(order, LookAlikeOrder)
