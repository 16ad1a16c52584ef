"""LightGBM on top of a start score: how look-alike trees are grown, wherever that runs."""

from dataclasses import dataclass, field

import lightgbm
import numpy as np

from bihuan_scoring.lookalike.features import Matrix
from bihuan_scoring.lookalike.linear import Floats
from bihuan_scoring.lookalike.sampling import Flags


@dataclass(frozen=True, slots=True, eq=False)
class TreeOrder:
    """Rows, labels and start scores (None: zero), and how to grow trees on them."""

    matrix: Matrix
    is_seed: Flags
    start: Floats | None
    names: tuple[str, ...]
    categorical: tuple[int, ...]
    rounds: int
    parameters: dict[str, object] = field(default_factory=dict)


SMALL: dict[str, object] = {
    "num_leaves": 4,
    "learning_rate": 0.03,
    "min_data_in_leaf": 20,
    "lambda_l2": 20.0,
    "feature_fraction": 0.5,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "cat_smooth": 30.0,
    "cat_l2": 30.0,
    "max_cat_threshold": 8,
}
LARGE: dict[str, object] = {
    "num_leaves": 31,
    "learning_rate": 0.1,
    "min_data_in_leaf": 100,
    "lambda_l2": 5.0,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "bagging_freq": 1,
    "max_bin": 63,
    "cat_smooth": 30.0,
    "cat_l2": 30.0,
}


def parameters_of(order: TreeOrder, seed: int, num_threads: int) -> dict[str, object]:
    """Everything that LightGBM is told."""
    return order.parameters | {
        "objective": "binary",
        "boost_from_average": order.start is None,
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": num_threads,
        "verbosity": -1,
    }


def grow(order: TreeOrder, seed: int, num_threads: int) -> str:
    """Trees as LightGBM's text, grown in this process; the same for the same order, seed and number of threads."""
    parameters = parameters_of(order, seed, num_threads)
    rows = lightgbm.Dataset(
        order.matrix,
        label=order.is_seed.astype(np.float32),
        init_score=order.start,
        feature_name=plain_names(order.names),
        categorical_feature=list(order.categorical),
        params=parameters,
    )
    return lightgbm.train(parameters, rows, num_boost_round=order.rounds).model_to_string()


def plain_names(names: tuple[str, ...]) -> list[str]:
    """Names that LightGBM's text format can hold, which is not so of every tag."""
    return [f"f{column}" for column in range(len(names))]
