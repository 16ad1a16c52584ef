"""Tables of paths: the same answers however the rows are written down or split."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_attribution.domain.credit import chain, shapley
from bihuan_attribution.domain.credit.chain import count_chain
from bihuan_attribution.domain.credit.markov import markov
from bihuan_attribution.domain.credit.paths import Measure, PathCount, PathTable
from bihuan_attribution.domain.credit.rate_shapley import rate_shapley
from bihuan_shared.errors import InvalidArgument

JOURNEYS = st.lists(st.tuples(st.lists(st.sampled_from("abcde"), max_size=6).map(tuple), st.booleans()), max_size=40)


def counted(journeys: list[tuple[tuple[str, ...], bool]]) -> list[PathCount]:
    yes = Counter(path for path, bought in journeys if bought)
    no = Counter(path for path, bought in journeys if not bought)
    return [PathCount(path, yes[path], no[path]) for path in {**yes, **no}]


@given(JOURNEYS)
def test_one_row_a_journey_says_the_same_as_one_row_a_path(journeys: list[tuple[tuple[str, ...], bool]]) -> None:
    single = PathTable.of(PathCount(path, int(bought), int(not bought)) for path, bought in journeys)
    grouped = counted(journeys)
    assert shapley.shapley(single) == shapley.shapley(grouped)
    assert rate_shapley(single) == rate_shapley(grouped)
    for order in (1, 2, 3):
        assert markov(single, order=order) == markov(grouped, order=order)


@given(JOURNEYS, st.integers(1, 12))
def test_parts_are_whole_paths_and_together_the_table(journeys: list[tuple[tuple[str, ...], bool]], steps: int) -> None:
    table = PathTable.of(PathCount(path, int(bought), 1) for path, bought in journeys)
    parts = list(table.parts(steps))
    assert all(len(part.conversions) == 1 or len(part.codes) <= steps >= len(part.conversions) for part in parts)
    found = [
        (tuple(part.channels[code] for code in part.codes[start:end]), bool(bought))
        for part in parts
        for start, end, bought in zip(part.starts, part.starts[1:], part.conversions, strict=False)
    ]
    assert found == journeys


@given(JOURNEYS, st.integers(1, 12), st.integers(1, 3))
def test_a_table_in_parts_gives_the_same_answers(
    journeys: list[tuple[tuple[str, ...], bool]], steps: int, order: int
) -> None:
    table = PathTable.of(PathCount(path, int(bought), 1) for path, bought in journeys)
    whole = (shapley.shapley(table), rate_shapley(table), markov(table, order=order))
    with pytest.MonkeyPatch.context() as patch:
        split = PathTable.parts
        patch.setattr(PathTable, "parts", lambda self: split(self, steps))
        assert (shapley.shapley(table), rate_shapley(table), markov(table, order=order)) == whole


def test_transitions_are_counted_by_people() -> None:
    paths = [
        PathCount(("b", "a", "b"), 2, 1, 50),
        PathCount(("a",), 0, 4),
        PathCount((), 9, 9),
        PathCount(("c",), 0, 0),
    ]
    found = count_chain(PathTable.of(paths), 1, Measure.VALUE)
    assert found.newest.tolist() == [0, 1]
    assert found.begins.tolist() == [4, 3]
    assert found.moves.tolist() == [[0, 3], [3, 0]]
    assert found.ends.tolist() == [4, 3]
    assert found.gains.tolist() == [0, 50]


def test_many_channels_are_counted_by_sorting(monkeypatch: pytest.MonkeyPatch) -> None:
    paths = [PathCount(("a", "b"), 1, 0), PathCount(("b", "c"), 1, 1)]
    counted_ = markov(paths)
    monkeypatch.setattr(chain, "_distinct", lambda keys, _: np.unique(keys))
    assert markov(paths) == counted_


GOOD = {"channels": ["a", "b"], "codes": [0, 1], "starts": [0, 2], "conversions": [1], "non_conversions": [0]}


@pytest.mark.parametrize(
    ("column", "figures"),
    [
        ("channels", ["b", "a"]),
        ("channels", ["a", "a"]),
        ("codes", [0, 2]),
        ("codes", [-1, 0]),
        ("starts", []),
        ("starts", [1, 2]),
        ("starts", [0, 1]),
        ("starts", [0, 3, 2]),
        ("conversions", [1, 1]),
        ("conversions", [-1]),
        ("non_conversions", [-1]),
        ("values", [-1]),
    ],
)
def test_columns_that_do_not_fit_together_are_refused(column: str, figures: list[int]) -> None:
    with pytest.raises(InvalidArgument) as raised:
        from_lists(**{**GOOD, column: figures})
    assert raised.value.violations[0].field == column


def test_value_without_a_conversion_is_refused() -> None:
    with pytest.raises(InvalidArgument, match="values"):
        PathTable.of([PathCount(("a",), 0, 1, 5)])


def test_columns_that_fit_are_taken() -> None:
    assert shapley.shapley(from_lists(**GOOD)) == shapley.shapley([PathCount(("a", "b"), 1, 0)])


def from_lists(**columns: object) -> PathTable:
    def ints(name: str) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
        return np.array(columns[name], dtype=np.int64)

    channels = columns["channels"]
    assert isinstance(channels, list)
    return PathTable.from_columns(
        channels,
        ints("codes").astype(np.int32),
        ints("starts"),
        ints("conversions"),
        ints("non_conversions"),
        ints("values") if "values" in columns else None,
    )
