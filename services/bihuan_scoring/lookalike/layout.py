"""Which feature columns there are: fitted once a model on the rows it is trained on, and stored with it."""

import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from bihuan_scoring.domain.features import BEHAVIOURS, INSTANT_BEHAVIOURS, RATES

LAYOUT_VERSION: Final = "1"
"""Whoever changes what a column holds raises it: models of another version are not used."""

COUNTED: Final = (
    *(f"activity_{name}_long" for name in BEHAVIOURS),
    *(f"activity_{name}_instant" for name in INSTANT_BEHAVIOURS),
    *(f"activity_{name}_total" for name in BEHAVIOURS),
)
RATED: Final = tuple(f"rate_{a}_per_{b}_{decay}" for decay in ("long", "total") for a, b in RATES)
ORDERS: Final = ("rfm_recency_days", "rfm_frequency", "rfm_monetary", "rfm_monetary_decayed", "rfm_average_basket")
INTERESTS: Final = ("interest_total", "interest_instant", "interest_count")
_FIXED: Final = (*COUNTED, *RATED, *ORDERS, *INTERESTS)


@dataclass(frozen=True, slots=True)
class Bounds:
    """How many columns a layout may have."""

    tags: int = 64
    """The most frequent tags get a column each, with their exact weight."""
    buckets: int = 32
    """All other tags are hashed into so many columns."""
    attributes: int = 32
    values: int = 64
    """Most values of a text attribute that are told apart."""
    least_persons: int = 20
    """A tag or value of fewer sampled persons gets no name of its own: it would point at them."""


@dataclass(frozen=True, slots=True)
class Layout:
    """
    The columns of a feature row.

    `as_of_us` is the instant from which ages count. `hidden_tags` and `hidden_attributes` count nowhere, not even in
    sums: they define the seed. `kept` are the positions, among all columns, of those that a model is trained on.
    """

    as_of_us: int
    tags: tuple[str, ...] = ()
    buckets: int = 0
    numbers: tuple[str, ...] = ()
    texts: tuple[tuple[str, tuple[str, ...]], ...] = ()
    hidden_tags: frozenset[str] = frozenset()
    hidden_attributes: frozenset[str] = frozenset()
    kept: tuple[int, ...] | None = None

    @property
    def all_names(self) -> tuple[str, ...]:
        """Names of all columns, kept or not, in order."""
        return (
            *_FIXED,
            *(f"tag_{tag}" for tag in self.tags),
            *(f"tags_bucket_{k}" for k in range(self.buckets)),
            *(f"attribute_{name}" for name in self.numbers),
            *(f"attribute_{name}" for name, _ in self.texts),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the kept columns, in order."""
        found = self.all_names
        return tuple(found[column] for column in self.columns)

    @property
    def columns(self) -> tuple[int, ...]:
        """Positions, among all columns, of the kept ones."""
        return tuple(range(len(self.all_names))) if self.kept is None else self.kept

    @property
    def categorical(self) -> tuple[int, ...]:
        """Positions, among the kept columns, of those that hold codes without order."""
        first = len(_FIXED) + len(self.tags) + self.buckets + len(self.numbers)
        return tuple(position for position, column in enumerate(self.columns) if column >= first)

    @property
    def tag_columns(self) -> tuple[int, ...]:
        """Positions, among the kept columns, of exact tags and buckets."""
        end = len(_FIXED) + len(self.tags) + self.buckets
        return tuple(position for position, column in enumerate(self.columns) if len(_FIXED) <= column < end)

    def column_of_tag(self, tag: str) -> int:
        """The column in which a tag counts, from the first tag column on; -1: nowhere."""
        if tag in self.hidden_tags:
            return -1
        if tag in self.tags:
            return self.tags.index(tag)
        return len(self.tags) + zlib.crc32(tag.encode()) % self.buckets if self.buckets else -1


def fit_layout(
    batches: Sequence[pa.RecordBatch],
    as_of_us: int,
    bounds: Bounds,
    *,
    hidden_tags: frozenset[str] = frozenset(),
    hidden_attributes: frozenset[str] = frozenset(),
) -> Layout:
    """The layout for these rows; the same for the same rows in whatever order and pieces."""
    tags: Counter[str] = Counter()
    numbers: Counter[str] = Counter()
    texts: Counter[tuple[str, str]] = Counter()
    for batch in batches:
        tags += _counts(batch.column("tags").flatten())
        names = _plain(batch.column("attribute_names").flatten())
        values = _plain(batch.column("attribute_texts").flatten())
        texts += Counter(zip(names.filter(values.is_valid()).to_pylist(), values.drop_null().to_pylist(), strict=True))
        numbers += _counts(names.filter(values.is_null()))
    kept_tags = _frequent({tag: n for tag, n in tags.items() if tag not in hidden_tags}, bounds.tags, bounds)
    shown = {name: n for name, n in numbers.items() if name not in hidden_attributes}
    by_name: dict[str, dict[str, int]] = {}
    for (name, value), count in texts.items():
        if name not in hidden_attributes:
            by_name.setdefault(name, {})[value] = count
    sizes = {name: sum(values.values()) for name, values in by_name.items()}
    names_kept = _frequent(sizes, bounds.attributes, bounds)
    return Layout(
        as_of_us=as_of_us,
        tags=kept_tags,
        buckets=bounds.buckets,
        numbers=tuple(sorted(_frequent(shown, bounds.attributes, bounds))),
        texts=tuple((name, _frequent(by_name[name], bounds.values, bounds)) for name in sorted(names_kept)),
        hidden_tags=hidden_tags,
        hidden_attributes=hidden_attributes,
    )


def _frequent(counts: dict[str, int], limit: int, bounds: Bounds) -> tuple[str, ...]:
    known = [(-count, text) for text, count in counts.items() if count >= bounds.least_persons]
    return tuple(text for _, text in sorted(known)[:limit])


def _counts(texts: pa.Array) -> Counter[str]:
    found = pc.value_counts(_plain(texts))
    return Counter(dict(zip(found.field("values").to_pylist(), found.field("counts").to_pylist(), strict=True)))


def _plain(texts: pa.Array) -> pa.Array:
    return texts.dictionary_decode() if pa.types.is_dictionary(texts.type) else texts
