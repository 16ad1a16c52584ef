"""How well the interests of persons match the tags of candidates, namespace by namespace, without a loop over rows."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.facts import Candidate, InterestWeight

NAMESPACES = ("coupon", "category", "other")
"""Tags match within their namespace: buying a thing and buying it with a coupon are different interests."""

_COUPON, _CATEGORY, _OTHER = range(3)
_CHUNK_CELLS = 2_000_000

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Matches:
    """
    What one row each of (person, candidate) has in common; the second axis follows NAMESPACES.

    `long_term` sums the person's weights over the candidate's tags, `matched` counts those tags, `tags` counts all tags
    of the candidate; `instant` sums the weights of minutes over every namespace; `person_total` is the person's whole
    long-term weight, matched or not.
    """

    long_term: Floats
    matched: Floats
    tags: Floats
    instant: Floats
    person_total: Floats


def namespace_of(tag: str) -> int:
    """Index of the tag's namespace in NAMESPACES."""
    if tag.startswith("coupon:"):
        return _COUPON
    return _CATEGORY if tag.startswith("category:") else _OTHER


class CandidateTags:
    """An inverted index of the candidates' tags, built once a request."""

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        vocabulary: dict[str, int] = {}
        tag_ids: list[int] = []
        owners: list[int] = []
        for index, candidate in enumerate(candidates):
            distinct = dict.fromkeys(candidate.tags)
            tag_ids.extend(vocabulary.setdefault(tag, len(vocabulary)) for tag in distinct)
            owners.extend([index] * len(distinct))
        self._vocabulary = vocabulary
        self._candidate_count = len(candidates)
        self._namespaces = np.array([namespace_of(tag) for tag in vocabulary], dtype=np.int64)
        ids = np.array(tag_ids, dtype=np.int64)
        owner = np.array(owners, dtype=np.int64)
        self._postings = owner[np.argsort(ids, kind="stable")]
        self._posting_counts = np.bincount(ids, minlength=len(vocabulary))
        self._posting_starts = np.cumsum(self._posting_counts) - self._posting_counts
        cells = owner * len(NAMESPACES) + self._namespaces[ids]
        self._tags = _counted(cells, len(candidates) * len(NAMESPACES), None).reshape(-1, len(NAMESPACES))

    def match(self, interests: Sequence[Sequence[InterestWeight]], rows: Ints, columns: Ints) -> Matches:
        """
        Match persons with candidates.

        `interests` holds one list a person; row k of the answer is person `rows[k]` against candidate `columns[k]`,
        where `rows` ascends.
        """
        found = _Found.collect(interests, _Codes(self._vocabulary), self._namespaces)
        width = len(NAMESPACES)
        long_term = np.zeros((len(rows), width))
        matched = np.zeros((len(rows), width))
        instant = np.zeros(len(rows))
        for first, last in self._chunks(found, len(interests)):
            begin, end = np.searchsorted(rows, (first, last))
            if begin == end:
                continue
            sums, counts, instants = self._accumulate(found, first, last)
            cells = (rows[begin:end] - first) * self._candidate_count + columns[begin:end]
            long_term[begin:end] = sums[cells]
            matched[begin:end] = counts[cells]
            instant[begin:end] = instants[cells]
        return Matches(long_term, matched, self._tags[columns], instant, found.totals[rows])

    def _chunks(self, found: "_Found", persons: int) -> Iterator[tuple[int, int]]:
        """Ranges of persons whose work fits into bounded memory."""
        work = np.bincount(found.persons, weights=self._posting_counts[found.tags], minlength=persons)
        work = work + self._candidate_count * len(NAMESPACES)
        first, filled = 0, 0.0
        for person, cost in enumerate(work.tolist()):
            if person > first and filled + cost > _CHUNK_CELLS:
                yield first, person
                first, filled = person, 0.0
            filled += cost
        if persons:
            yield first, persons

    def _accumulate(self, found: "_Found", first: int, last: int) -> tuple[Floats, Floats, Floats]:
        """Sums for every (person, candidate) of the persons `[first, last)`: long term, counts, instant."""
        begin, end = np.searchsorted(found.persons, (first, last))
        tags = found.tags[begin:end]
        lengths = self._posting_counts[tags]
        entry = np.repeat(np.arange(end - begin), lengths)
        offset = np.arange(len(entry)) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        owner = self._postings[self._posting_starts[tags][entry] + offset]
        cell = (found.persons[begin:end][entry] - first) * self._candidate_count + owner
        cells = (last - first) * self._candidate_count
        width = len(NAMESPACES)
        typed = cell * width + self._namespaces[tags][entry]
        sums = _counted(typed, cells * width, found.long_term[begin:end][entry]).reshape(-1, width)
        counts = _counted(typed, cells * width, None).reshape(-1, width)
        return sums, counts, _counted(cell, cells, found.instant[begin:end][entry])


@dataclass(frozen=True, slots=True)
class _Found:
    """Interests whose tag some candidate has, by person ascending, and the whole weight of each person."""

    persons: Ints
    tags: Ints
    long_term: Floats
    instant: Floats
    totals: Floats

    @classmethod
    def collect(cls, interests: Sequence[Sequence[InterestWeight]], vocabulary: "_Codes", namespaces: Ints) -> "_Found":
        flat = [weight for weights in interests for weight in weights]
        tags, long_weights, instant_weights = zip(*flat, strict=True) if flat else ((), (), ())
        persons = np.repeat(
            np.arange(len(interests)), np.array([len(weights) for weights in interests], dtype=np.int64)
        )
        codes = np.array([vocabulary[tag] for tag in tags], dtype=np.int64)
        long_term = np.array(long_weights, dtype=np.float64)
        instant = np.array(instant_weights, dtype=np.float64)
        known = codes >= 0
        kinds = np.where(known, namespaces[np.maximum(codes, 0)] if len(namespaces) else 0, -1 - codes)
        width = len(NAMESPACES)
        totals = _counted(persons * width + kinds, len(interests) * width, long_term).reshape(-1, width)
        return cls(persons[known], codes[known], long_term[known], instant[known], totals)


class _Codes(dict[str, int]):
    """Ids of the candidates' tags; another tag gets -1 - its namespace, found out once a request."""

    def __missing__(self, tag: str) -> int:
        code = self[tag] = -1 - namespace_of(tag)
        return code


def _counted(cells: Ints, size: int, weights: Floats | None) -> Floats:
    return np.bincount(cells, weights=weights, minlength=size).astype(np.float64, copy=False)
