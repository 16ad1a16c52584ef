"""Pairs, B-cubed and calibration against the definitions, written out naively."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.linkage.judging import (
    Score,
    calibration_bands,
    calibration_error,
    count_true_pairs,
    judge_b_cubed,
    judge_links,
    judge_pairs,
)

LABELLED = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1)), max_size=14)


def columns(rows: list[tuple[int, int, int]]) -> tuple[dict[int, int], dict[int, int], dict[int, int]]:
    return ({at: row[0] for at, row in enumerate(rows)}, {at: row[1] for at, row in enumerate(rows)},
            {at: row[2] for at, row in enumerate(rows)})  # fmt: skip


def naive_pairs(labels: dict[int, int], sources: dict[int, int] | None) -> set[tuple[int, int]]:
    return {
        (a, b)
        for a, b in combinations(labels, 2)
        if labels[a] == labels[b] and (sources is None or sources[a] != sources[b])
    }


def naive_score(found: set[tuple[int, int]], true: set[tuple[int, int]]) -> Score:
    right = len(found & true)
    return Score(right / len(found) if found else 1.0, right / len(true) if true else 1.0)


@given(rows=LABELLED, two_files=st.booleans())
def test_pairs_of_clusters_are_the_pairs_one_would_write_out(
    rows: list[tuple[int, int, int]], *, two_files: bool
) -> None:
    clusters, truth, files = columns(rows)
    sources = files if two_files else None
    expected = naive_score(naive_pairs(clusters, sources), naive_pairs(truth, sources))
    assert judge_pairs(clusters, truth, sources) == expected
    assert count_true_pairs(truth, sources) == len(naive_pairs(truth, sources))


@given(LABELLED, st.sets(st.tuples(st.integers(0, 13), st.integers(0, 13)), max_size=20))
def test_links_are_judged_as_they_are_without_following_them(
    rows: list[tuple[int, int, int]], ends: set[tuple[int, int]]
) -> None:
    _, truth, _ = columns(rows)
    links = {(a, b) for a, b in ends if a < b < len(rows)}
    assert judge_links(links, truth) == naive_score(links, naive_pairs(truth, None))


@given(LABELLED)
def test_b_cubed_is_the_mean_of_every_records_own_precision_and_recall(rows: list[tuple[int, int, int]]) -> None:
    clusters, truth, _ = columns(rows)
    precisions, recalls = [], []
    for record in truth:
        mine = {other for other in truth if clusters[other] == clusters[record]}
        same = {other for other in truth if truth[other] == truth[record]}
        precisions.append(len(mine & same) / len(mine))
        recalls.append(len(mine & same) / len(same))
    score = judge_b_cubed(clusters, truth)
    assert score.precision == pytest.approx(sum(precisions) / len(rows) if rows else 1)
    assert score.recall == pytest.approx(sum(recalls) / len(rows) if rows else 1)


def test_the_example_of_bagga_and_baldwin() -> None:
    """Twelve entities in chains of 5, 2 and 5; joining the two chains of five is worse than joining 5 and 2."""
    truth = {at: (0, 0, 0, 0, 0, 1, 1, 2, 2, 2, 2, 2)[at] for at in range(12)}
    small = {at: 0 if truth[at] == 0 else 1 for at in truth}
    large = {at: 1 if truth[at] == 1 else 0 for at in truth}
    assert judge_b_cubed(small, truth).precision == pytest.approx(16 / 21)
    assert judge_b_cubed(large, truth).precision == pytest.approx(7 / 12)
    assert judge_b_cubed(small, truth).recall == judge_b_cubed(large, truth).recall == 1


def test_f1_is_the_harmonic_mean_and_0_where_nothing_is_right() -> None:
    assert Score(1.0, 0.5).f1 == pytest.approx(2 / 3)
    assert Score(0.0, 0.0).f1 == 0


def test_calibration_error_weighs_bands_by_their_candidates() -> None:
    bands = calibration_bands([0.2, 0.2, 0.2, 0.9, 0.005], [True, False, False, True, True], (0.1, 0.5, 1.0))
    assert [(band.count, band.true_share) for band in bands] == [(3, 1 / 3), (1, 1.0)]
    assert calibration_error(bands) == pytest.approx((3 * abs(0.2 - 1 / 3) + 0.1) / 4)


def test_certainty_falls_into_the_last_band_and_no_candidates_into_none() -> None:
    (band,) = calibration_bands([1.0, 0.99], [True, True])
    assert (band.low, band.count) == (0.99, 2)
    assert calibration_error(calibration_bands([], [])) == 0
