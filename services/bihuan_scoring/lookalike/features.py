"""
The one code that turns profile rows into look-alike features, for training, batch work and serving.

Counts, weights and amounts are log1p; missing is NaN; texts are positions in the layout. All float32.
"""

from collections.abc import Sequence
from typing import Final, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.domain.features import BEHAVIOURS, RATES
from bihuan_scoring.lookalike.layout import COUNTED, INTERESTS, ORDERS, Layout
from bihuan_scoring.lookalike.snapshot import snapshot_rows

Matrix = npt.NDArray[np.float32]
Codes = npt.NDArray[np.int64]
Scalar = TypeVar("Scalar", bound=np.generic)

_DAY_US: Final = 86_400_000_000
_ZERO: Final = np.float32(0.0)
_RATE_PRIOR: Final = (np.float32(0.1), np.float32(1.0))


def feature_rows(batch: pa.RecordBatch, layout: Layout) -> Matrix:
    """Features of snapshot rows: (rows, kept columns of the layout)."""
    rows = batch.num_rows
    fixed, interests, attributes = _fixed(batch, layout), _interests(batch, layout), _attributes(batch, layout)
    matrix = np.empty((rows, len(layout.all_names)), dtype=np.float32)
    column = 0
    for part in (fixed, interests, attributes):
        matrix[:, column : column + part.shape[1]] = part
        column += part.shape[1]
    return matrix if layout.kept is None else np.ascontiguousarray(matrix[:, list(layout.kept)])


def person_features(persons: Sequence[PersonFacts], layout: Layout) -> Matrix:
    """Features of persons as serving knows them: (persons, kept columns of the layout)."""
    return feature_rows(snapshot_rows(persons), layout)


def _fixed(batch: pa.RecordBatch, layout: Layout) -> Matrix:
    counts = {name: _floats(batch.column(name)) for name in COUNTED}
    columns: list[Matrix] = [_log1p(counts[name]) for name in COUNTED]
    for decay in ("long", "total"):
        columns += [_rate(counts[f"activity_{a}_{decay}"], counts[f"activity_{b}_{decay}"]) for a, b in RATES]
    return np.column_stack([*columns, *_orders(batch, layout.as_of_us)]).astype(np.float32, copy=False)


def _rate(above: Matrix, below: Matrix) -> Matrix:
    """A smoothed rate; it does not drift with the calendar as counts do."""
    rate = (np.maximum(above, _ZERO) + _RATE_PRIOR[0]) / (np.maximum(below, _ZERO) + _RATE_PRIOR[1])
    return np.asarray(rate, dtype=np.float32)


def _orders(batch: pa.RecordBatch, as_of_us: int) -> list[Matrix]:
    """In the order of ORDERS."""
    known = batch.column("order_time_us")
    times = known.fill_null(0).to_numpy()
    recency = np.maximum((as_of_us - times) / _DAY_US, 0.0)
    recency[known.is_null().to_numpy(zero_copy_only=False)] = np.nan
    count, paid, decayed = (_floats(batch.column(f"order_{name}")) for name in ("count", "paid", "paid_decayed"))
    basket = paid / np.where(count > 0, count, np.nan)
    found = [recency.astype(np.float32), count, paid, decayed, basket]
    assert len(found) == len(ORDERS), "one value an order column"
    return [_log1p(values) for values in found]


def _interests(batch: pa.RecordBatch, layout: Layout) -> Matrix:
    """Sums over all shown tags (INTERESTS), then the exact tags and the buckets."""
    rows, width = batch.num_rows, len(layout.tags) + layout.buckets
    tags = batch.column("tags")
    persons = _owners(tags)
    codes, vocabulary = _dictionary(tags.flatten())
    columns = np.array([layout.column_of_tag(tag) for tag in vocabulary], dtype=np.int64)
    hidden = np.array([tag in layout.hidden_tags for tag in vocabulary], dtype=bool)
    columns, shown = _at(columns, codes), ~_at(hidden, codes)
    long_term = _floats(batch.column("tag_long").flatten())
    instant = _floats(batch.column("tag_instant").flatten())
    sums = [
        np.bincount(persons[shown], weights=long_term[shown], minlength=rows),
        np.bincount(persons[shown], weights=instant[shown], minlength=rows),
        np.bincount(persons[shown], minlength=rows),
    ]
    assert len(sums) == len(INTERESTS), "one value an interest column"
    counted = columns >= 0
    cells = persons[counted] * width + columns[counted]
    weights = np.bincount(cells, weights=long_term[counted], minlength=rows * width).reshape(rows, width)
    return _log1p(np.column_stack([*sums, weights]).astype(np.float32))


def _attributes(batch: pa.RecordBatch, layout: Layout) -> Matrix:
    """Numbers, then the positions of texts; a text that the layout does not name is one past the last."""
    matrix = np.full((batch.num_rows, len(layout.numbers) + len(layout.texts)), np.nan, dtype=np.float32)
    names = batch.column("attribute_names")
    persons = _owners(names)
    codes, vocabulary = _dictionary(names.flatten())
    texts, values = _dictionary(batch.column("attribute_texts").flatten())
    numbers = _floats(batch.column("attribute_numbers").flatten())
    for column, name in enumerate(layout.numbers):
        found = (codes == _position(vocabulary, name)) & ~np.isnan(numbers)
        matrix[persons[found], column] = numbers[found]
    for column, (name, known) in enumerate(layout.texts, start=len(layout.numbers)):
        found = (codes == _position(vocabulary, name)) & (texts >= 0)
        positions = {value: position for position, value in enumerate(known)}
        coded = np.array([positions.get(value, len(known)) for value in values], dtype=np.float32)
        matrix[persons[found], column] = _at(coded, texts[found])
    return matrix


def _position(vocabulary: Sequence[str], name: str) -> int:
    # -2 is no code, and not that of a missing text either.
    return vocabulary.index(name) if name in vocabulary else -2


def _owners(lists: pa.ListArray) -> Codes:
    """The row of every element."""
    owners: Codes = np.repeat(np.arange(len(lists)), pc.list_value_length(lists).fill_null(0).to_numpy())
    return owners


def _dictionary(texts: pa.Array) -> tuple[Codes, list[str]]:
    """Codes (-1: missing) and what they stand for, whether the file was read as a dictionary or as texts."""
    coded = texts if pa.types.is_dictionary(texts.type) else texts.dictionary_encode()
    return coded.indices.fill_null(-1).to_numpy().astype(np.int64), coded.dictionary.to_pylist()


def _at(values: npt.NDArray[Scalar], codes: Codes) -> npt.NDArray[Scalar]:
    # Of no elements there is no vocabulary to look up.
    return values[codes] if len(codes) else values[:0]


def _floats(values: pa.Array) -> Matrix:
    return np.asarray(values.to_numpy(zero_copy_only=False), dtype=np.float32)


def _log1p(values: Matrix) -> Matrix:
    """Of negative values, which a correction may leave behind, that of zero; NaN stays NaN."""
    # Most weights are 0, whose logarithm is known.
    logarithms = np.zeros_like(values)
    some = ~(values <= _ZERO)
    logarithms[some] = np.log1p(values[some])
    return logarithms


assert all(f"activity_{name}_long" in COUNTED for name in BEHAVIOURS), "rates are made of counted columns"
