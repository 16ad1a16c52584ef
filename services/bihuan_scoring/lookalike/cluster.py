"""
Workers on a Dask cluster: partitions are scored where there is room, trees grow by LightGBM's own Dask interface.

Needs the extra `cluster`. Workers see the snapshot and the job's folder under the same paths.
"""

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import dask.array as da
import distributed
import lightgbm
import numpy as np

from bihuan_scoring.lookalike.boosting import TreeOrder, parameters_of

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 4
"""Items a worker that are given out before their results are asked for."""


class DaskWorkers:
    """Workers of a cluster, reached through its client, which stays the caller's to close."""

    def __init__(self, client: distributed.Client) -> None:
        self._client = client

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        """As the port says. The function travels once, not once an item."""
        everywhere = self._client.scatter(function, broadcast=True)
        most = _AHEAD * max(1, len(self._client.scheduler_info()["workers"]))
        waiting: deque[distributed.Future] = deque()
        try:
            for item in items:
                # Scoring writes a file, so that a key of the arguments would not be enough.
                waiting.append(self._client.submit(_apply, everywhere, item, pure=False))
                if len(waiting) >= most:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def grow(self, order: TreeOrder, seed: int) -> str:
        """As the port says: data-parallel over the workers, one part of the rows each."""
        count = max(1, len(self._client.scheduler_info()["workers"]))
        rows = -(-len(order.is_seed) // count)
        start = np.zeros(len(order.is_seed)) if order.start is None else order.start
        told = parameters_of(order, seed, num_threads=1) | {"boost_from_average": False}
        if order.start is None:
            # With start scores LightGBM does not begin at the mean; the mean is what they then are.
            share = float(order.is_seed.mean())
            start = np.full(len(order.is_seed), np.log(share / (1.0 - share)))
        parameters: dict[str, Any] = {name: value for name, value in told.items() if name not in _OF_THE_CLASSIFIER}
        classifier = lightgbm.DaskLGBMClassifier(
            client=self._client, tree_learner="data", n_estimators=order.rounds, random_state=seed, **parameters
        )
        classifier.fit(
            da.from_array(order.matrix, chunks=(rows, order.matrix.shape[1])),
            da.from_array(order.is_seed.astype(np.int64), chunks=rows),
            init_score=da.from_array(start, chunks=rows),
            categorical_feature=list(order.categorical),
        )
        return str(classifier.to_local().booster_.model_to_string())


_OF_THE_CLASSIFIER = frozenset({"objective", "seed", "num_threads"})


def _apply(function: Callable[[Item], Result], item: Item) -> Result:
    return function(item)
