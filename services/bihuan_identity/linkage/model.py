"""
Trains the Fellegi-Sunter model and scores the candidates, with Splink on whichever engine.

How often values agree by chance (u) comes from pairs drawn at random, how often they agree for one person (m) from
expectation maximisation inside blocks, both from a fixed seed. No truth is read.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyarrow as pa
from splink import Linker, block_on
from splink.internals.comparison_level import ComparisonLevel
from splink.internals.exceptions import EMTrainingException, SplinkException

from bihuan_identity.linkage.calibrating import Floats, probabilities, share_of_matches
from bihuan_identity.linkage.clustering import Candidate
from bihuan_identity.linkage.records import ID
from bihuan_identity.linkage.settings import Rule, model_settings
from bihuan_identity.linkage.spec import ComparedColumn
from bihuan_shared.errors import FailedPrecondition

if TYPE_CHECKING:
    from splink.internals.splink_dataframe import SplinkDataFrame

RANDOM_PAIRS: Final = 5_000_000
LEAST_PROBABILITY: Final = 0.01
"""Candidates below it are counted and never fetched."""

LEAST_M: Final = 1e-4
"""Among ten thousand pairs of records of one person, one is assumed to differ in any way there is."""

MOST_DIFFERING: Final = 0.5
"""A column in which records of one person differ oftener than this does not help to know them."""

_BINS_A_BIT: Final = 64
_MOST_BITS: Final = 500
_SIGNIFICANT_DIGITS: Final = 6
_DIGEST_CHARACTERS: Final = 16


@dataclass(frozen=True, slots=True)
class Scored:
    """
    What the model says of the candidates.

    `share` is the share of matches among all pairs of the files, `expected_matches` the sum of all probabilities.
    `candidates` are those of at least LEAST_PROBABILITY, by number; `compared` counts all. `digest` names the trained
    model: equal for equal data, spec, seed and version.
    """

    candidates: tuple[Candidate, ...]
    compared: int
    share: float
    expected_matches: float
    digest: str


class LinkageModel:
    """A model over loaded records: first `train`, then `score`."""

    def __init__(
        self, frames: "Sequence[SplinkDataFrame]", columns: Sequence[ComparedColumn], rules: Sequence[Rule]
    ) -> None:
        settings = model_settings(columns, rules, between_two_files=len(frames) > 1)
        self._linker = Linker(list(frames), settings, log_level=None)

    def train(self, rules: Sequence[Rule], seed: int) -> None:
        """
        Learn the parameters; `rules` are the blocks of the expectation maximisation.

        Raises FailedPrecondition where the data does not tell matches from others.
        """
        with _learnable(), _nothing_impossible():
            self._linker.training.estimate_u_using_random_sampling(max_pairs=RANDOM_PAIRS, seed=seed)
            for rule in rules:
                self._linker.training.estimate_parameters_using_expectation_maximisation(block_on(*rule))

    def score(self, all_pairs: float) -> Scored:
        """
        Score every candidate, and calibrate against the share of matches among all pairs that the files have.

        Raises FailedPrecondition where what was learnt to be a match is not what records of one person look like.
        """
        trained = self._linker.misc.save_model_to_json()
        _refuse_strangers(trained)
        prior = float(trained["probability_two_random_records_match"])
        prior_bits = float(np.log2(prior / (1 - prior)))
        predictions = self._linker.inference.predict(warning_mode="never")
        weights, counts = _histogram(predictions)
        share = share_of_matches(weights - prior_bits, counts, all_pairs, prior)
        return Scored(
            candidates=_likely(predictions, prior_bits, share),
            compared=int(counts.sum()),
            share=share,
            expected_matches=share * all_pairs,
            digest=_digest(trained),
        )


@contextmanager
def _learnable() -> Iterator[None]:
    try:
        yield
    except (EMTrainingException, SplinkException) as error:
        raise FailedPrecondition(f"nothing can be learnt from these records: {type(error).__name__}") from error


@contextmanager
def _nothing_impossible() -> Iterator[None]:
    """
    Keep every m at LEAST_M or above while training.

    In small or clean files a kind of disagreement may occur among non-matches only. Its m then falls towards 0 round by
    round until Splink 5.0 gives up on the figure, and before that it would rule out any match that has such an error.
    """
    plain: property = vars(ComparisonLevel)["m_probability"]

    def keep(level: ComparisonLevel, value: float | str | None) -> None:
        plain.__set__(level, max(value, LEAST_M) if isinstance(value, float) else value)

    setattr(ComparisonLevel, "m_probability", plain.setter(keep))  # noqa: B010  # mypy takes no new setter
    try:
        yield
    finally:
        setattr(ComparisonLevel, "m_probability", plain)  # noqa: B010  # as above


def _refuse_strangers(trained: dict[str, Any]) -> None:
    """
    Refuse a model whose matches differ in half of the columns or more.

    Two kinds of pairs are told apart in any data. Where nobody occurs twice, the likelier kind is neighbours or
    families, who agree in a few columns that go together.
    """
    differing = 0
    for comparison in trained["comparisons"]:
        rest = comparison["comparison_levels"][-1].get("m_probability")
        differing += isinstance(rest, float) and rest > MOST_DIFFERING
    if differing * 2 >= len(trained["comparisons"]):
        raise FailedPrecondition("these records show no repeated persons: those that agree most differ in most columns")


def _histogram(predictions: "SplinkDataFrame") -> tuple[Floats, Floats]:
    """Match weights in fine bins, so that any number of candidates takes one scan and little memory."""
    bits = f"greatest(least(match_weight, {_MOST_BITS}), -{_MOST_BITS})"
    table = predictions.query_sql(
        f"select floor({bits} * {_BINS_A_BIT}) as bin, avg({bits}) as weight, cast(count(*) as double) as n "  # noqa: S608  # constants
        f"from {{this}} group by floor({bits} * {_BINS_A_BIT})"
    ).as_dict()
    order = np.argsort(np.asarray(table["bin"], dtype=np.float64))
    weights, counts = (np.asarray(table[name], dtype=np.float64)[order] for name in ("weight", "n"))
    return weights, counts


def _likely(predictions: "SplinkDataFrame", prior_bits: float, share: float) -> tuple[Candidate, ...]:
    shift = float(np.log2(share / (1 - share))) - prior_bits
    least = float(np.log2(LEAST_PROBABILITY / (1 - LEAST_PROBABILITY))) - shift
    likely = predictions.query_sql(
        f"select {ID}_l, {ID}_r, match_weight from {{this}} where match_weight >= {least!r}"  # noqa: S608  # a number
    )
    table: pa.Table = likely.as_pyarrow_table()  # type: ignore[no-untyped-call]  # the library leaves it out
    ends = np.sort(np.stack([table[f"{ID}_l"].to_numpy(), table[f"{ID}_r"].to_numpy()]), axis=0)
    chances = probabilities(table["match_weight"].to_numpy() - prior_bits, share)
    order = np.lexsort((ends[1], ends[0]))
    return tuple(Candidate(int(ends[0, at]), int(ends[1, at]), float(chances[at])) for at in order)


def _digest(trained: dict[str, object]) -> str:
    """The trained model in 16 hexadecimal digits; figures count to six digits, random names not at all."""
    stable = {key: value for key, value in trained.items() if key != "linker_uid"}
    text = json.dumps([version("splink"), _rounded(stable)], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:_DIGEST_CHARACTERS]


def _rounded(value: object) -> object:
    match value:
        case float():
            return f"{value:.{_SIGNIFICANT_DIGITS}g}"
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
        case _:
            return value
