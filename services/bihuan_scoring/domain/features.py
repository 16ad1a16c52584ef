"""
Features: the one code that turns facts into numbers, for training, batch work and serving.

A row is one (person, context, candidate). Columns are fixed by FEATURES and their meaning by FEATURE_VERSION: whoever
changes what a column holds raises the version, and models of the old version no longer load. Missing is NaN; counts and
amounts are log1p; texts are hashed to small codes that never change.
"""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.facts import Candidate, Context, PersonFacts, ScoreItem
from bihuan_scoring.domain.interest_match import NAMESPACES, CandidateTags, Floats, Matches

FEATURE_VERSION = "1"

BEHAVIOURS = (
    "view",
    "search",
    "click",
    "favourite",
    "cart",
    "order",
    "refund",
    "follow",
    "share",
    "comment",
    "impression",
    "coupon",
)
INSTANT_BEHAVIOURS = ("view", "search", "click", "impression")
RATES = (("click", "impression"), ("coupon", "impression"), ("coupon", "order"), ("order", "impression"))
"""Numerator and denominator of smoothed rates; a rate does not drift with the calendar as counts do."""
TEXT_ATTRIBUTES = (
    "age",
    "gender",
    "income",
    "home_ownership",
    "marital_status",
    "household_size",
    "household_comp",
    "kids_count",
    "region",
    "language",
    "device_type",
    "visit_channel",
)
NUMBER_ATTRIBUTES = ("birth_year", "newsletter", "app_user")
CODE_COUNT = 251
"""Hashed texts fall into so many codes."""

_CODES_KEPT = 16_384
_NAN = float("nan")
_DAY_US = 86_400_000_000
_HOUR_US = 3_600_000_000
_MICROS = 1_000_000
_WEEKDAY_OF_EPOCH = 3  # 1970-01-01 was a Thursday; Monday is 0
_RATE_PRIOR = (0.1, 1.0)
_ABSENT = (0.0, 0.0, 0)

_NUMBERS = (
    *(f"activity_{name}_long" for name in BEHAVIOURS),
    *(f"activity_{name}_instant" for name in INSTANT_BEHAVIOURS),
    *(f"activity_{name}_total" for name in BEHAVIOURS),
    *(f"rate_{a}_per_{b}_long" for a, b in RATES),
    *(f"rate_{a}_per_{b}_total" for a, b in RATES),
    "rfm_recency_days",
    "rfm_frequency",
    "rfm_monetary_decayed",
    "rfm_average_basket",
    *(f"interest_{name}_total" for name in NAMESPACES),
    *(f"match_{name}_long" for name in NAMESPACES),
    *(f"match_{name}_of_person" for name in NAMESPACES),
    *(f"match_{name}_of_tags" for name in NAMESPACES),
    *(f"candidate_{name}_tags" for name in NAMESPACES),
    "match_coupon_per_category",
    "match_instant",
    *(f"attribute_{name}" for name in NUMBER_ATTRIBUTES),
)
_CYCLES = ("context_hour", "context_weekday")
_CODES = (
    "context_channel",
    "context_traffic_source",
    *(f"attribute_{name}" for name in TEXT_ATTRIBUTES),
)
FEATURES = (*_NUMBERS, *_CYCLES, *_CODES)
"""Names of the columns, in order."""
_EVER = {*(f"activity_{name}_total" for name in BEHAVIOURS), "rfm_frequency"}
LINEAR_COLUMNS = tuple(column for column, name in enumerate(_NUMBERS) if name not in _EVER)
"""Columns in which more means more. Counts since ever are left out: they grow with the calendar, their rates do not."""
CATEGORICAL_COLUMNS = tuple(range(len(_NUMBERS) + len(_CYCLES), len(FEATURES)))
"""Columns whose values are codes without order."""


@lru_cache(maxsize=_CODES_KEPT)
def code_of(text: str) -> float:
    """A stable code of a text in `[0, CODE_COUNT)`; NaN for the empty text, which says nothing."""
    return float(zlib.crc32(text.encode()) % CODE_COUNT) if text else _NAN


def build_matrix(items: Sequence[ScoreItem], candidates: Sequence[Candidate]) -> Floats:
    """
    Features of every item against its candidates: one row an item and candidate index, items first; columns FEATURES.

    An unknown person leaves the person's columns and the matches NaN.
    """
    counts = np.array([len(item.candidate_indexes) for item in items], dtype=np.int64)
    rows = np.repeat(np.arange(len(items), dtype=np.int64), counts)
    indexes = chain.from_iterable(item.candidate_indexes for item in items)
    columns = np.fromiter(indexes, dtype=np.int64, count=len(rows))
    known = np.array([item.person is not None for item in items], dtype=bool)
    persons = _PersonColumns.collect(items)
    interests = [() if item.person is None else item.person.interests for item in items]
    matches = CandidateTags(candidates).match(interests, rows, columns)
    personal = np.hstack([persons.numbers(), np.where(known[:, None], 0.0, np.nan)])
    per_row = personal[rows]
    known_row = per_row[:, -1:]
    return np.hstack(
        [
            per_row[:, :-1],
            _match_columns(matches, known_row),
            persons.attribute_numbers[rows],
            _contexts([item.context for item in items])[rows],
            persons.attribute_codes[rows],
        ]
    )


@dataclass(frozen=True, slots=True)
class _PersonColumns:
    """Raw values, one row an item. Activity blocks are (items, behaviours, 3): long term, instant, total."""

    activities: Floats
    orders: Floats
    attribute_numbers: Floats
    attribute_codes: Floats

    @classmethod
    def collect(cls, items: Sequence[ScoreItem]) -> "_PersonColumns":
        activities = [_activities(item.person) for item in items]
        orders = [_orders(item.person, item.context.request_time_us) for item in items]
        attributes = [_attributes(item.person) for item in items]
        return cls(
            np.array(activities, dtype=np.float64).reshape(len(items), len(BEHAVIOURS), 3),
            np.array(orders, dtype=np.float64).reshape(len(items), 4),
            np.array([numbers for numbers, _ in attributes], dtype=np.float64),
            np.array([codes for _, codes in attributes], dtype=np.float64),
        )

    def numbers(self) -> Floats:
        """Activity, rate and order columns in the order of FEATURES."""
        long_term, instant, total = np.moveaxis(self.activities, 2, 0)
        return np.hstack(
            [
                _log1p(long_term),
                _log1p(instant[:, [BEHAVIOURS.index(name) for name in INSTANT_BEHAVIOURS]]),
                _log1p(total),
                _rates(long_term),
                _rates(total),
                _log1p(self.orders),
            ]
        )


def _activities(person: PersonFacts | None) -> Sequence[tuple[float, float, float]]:
    if person is None or (person.withheld and not person.activities):
        return _UNKNOWN_ACTIVITIES
    found = person.activities
    return [found.get(name, _ABSENT) for name in BEHAVIOURS]


_UNKNOWN_ACTIVITIES = [(_NAN,) * 3] * len(BEHAVIOURS)


def _orders(person: PersonFacts | None, request_time_us: int) -> tuple[float, float, float, float]:
    if person is None or person.orders is None:
        return (_NAN,) * 4
    orders = person.orders
    recency_days = max(0.0, (request_time_us - orders.last_order_time_us) / _DAY_US)
    basket = orders.monetary_micros / _MICROS / orders.frequency if orders.frequency else _NAN
    return recency_days, float(orders.frequency), max(0.0, orders.monetary_decayed_micros / _MICROS), max(0.0, basket)


def _attributes(person: PersonFacts | None) -> tuple[list[float], list[float]]:
    """Numbers of NUMBER_ATTRIBUTES and codes of TEXT_ATTRIBUTES; a value of another type says nothing."""
    known = {} if person is None else person.attributes
    numbers = [known.get(name) for name in NUMBER_ATTRIBUTES]
    texts = [known.get(name) for name in TEXT_ATTRIBUTES]
    return (
        [_NAN if value is None or isinstance(value, str) else float(value) for value in numbers],
        [code_of(value) if isinstance(value, str) else _NAN for value in texts],
    )


def _log1p(values: Floats) -> Floats:
    """Of negative values, which a correction may leave behind, that of zero; NaN stays NaN."""
    logarithms: Floats = np.log1p(np.maximum(values, 0.0))
    return logarithms


def _rates(counts: Floats) -> Floats:
    above, below = _RATE_PRIOR
    return np.column_stack(
        [
            (counts[:, BEHAVIOURS.index(a)] + above) / (np.maximum(counts[:, BEHAVIOURS.index(b)], 0.0) + below)
            for a, b in RATES
        ]
    )


def _match_columns(matches: Matches, known: npt.NDArray[np.float64]) -> Floats:
    """`known` is (rows, 1): 0 where the person is known, NaN where not; adding it blanks what cannot be said."""
    above, below = _RATE_PRIOR
    tags = np.maximum(matches.tags, 1.0)
    total = np.maximum(matches.person_total, 1e-9)
    coupon, category = matches.long_term[:, 0], matches.long_term[:, 1]
    return np.hstack(
        [
            _log1p(matches.person_total) + known,
            _log1p(matches.long_term) + known,
            np.minimum(matches.long_term / total, 1.0) + known,
            matches.matched / tags + known,
            _log1p(matches.tags),
            ((coupon + above) / (category + below))[:, None] + known,
            _log1p(matches.instant)[:, None] + known,
        ]
    )


def _contexts(contexts: Sequence[Context]) -> Floats:
    """Hour and weekday in UTC, and the codes of channel and traffic source."""
    times = np.array([context.request_time_us for context in contexts], dtype=np.int64)
    codes = {text: code_of(text) for context in contexts for text in (context.channel, context.traffic_source)}
    return np.column_stack(
        [
            (times % _DAY_US) // _HOUR_US,
            (times // _DAY_US + _WEEKDAY_OF_EPOCH) % 7,
            [codes[context.channel] for context in contexts],
            [codes[context.traffic_source] for context in contexts],
        ]
    ).astype(np.float64)
