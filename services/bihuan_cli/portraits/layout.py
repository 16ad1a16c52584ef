"""Places for the nodes of a graph in the plane, so that drawn distances follow the distances in the graph."""

from collections import deque
from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

ROUNDS: Final = 150
_GOLDEN_ANGLE: Final = np.pi * (3 - np.sqrt(5))
_SETTLED: Final = 1e-4

Places = npt.NDArray[np.float64]


def place(count: int, edges: Sequence[tuple[int, int]]) -> Places:
    """
    Return `count` rows of x and y, one unit of length an edge.

    Stress majorisation (Gansner, Koren and North, 2004) from the positions that classical scaling gives. The same graph
    always gets the same places; parts that no edge connects stand beside each other.
    """
    if count == 1:
        return np.zeros((1, 2))
    distances = _distances(count, edges)
    weights = distances + np.eye(count)
    weights = 1 / weights**2
    np.fill_diagonal(weights, 0)
    laplacian = np.diag(weights.sum(axis=1)) - weights
    inverse = np.linalg.pinv(laplacian, hermitian=True)
    places = _start(distances)
    for _ in range(ROUNDS):
        gaps = np.linalg.norm(places[:, None] - places[None], axis=2)
        pulls = np.divide(weights * distances, gaps, out=np.zeros_like(gaps), where=gaps > 0)
        moved = inverse @ ((np.diag(pulls.sum(axis=1)) - pulls) @ places)
        shift = float(np.abs(moved - places).max())
        places = moved
        if shift < _SETTLED:
            break
    return places


def _distances(count: int, edges: Sequence[tuple[int, int]]) -> npt.NDArray[np.float64]:
    neighbours: list[list[int]] = [[] for _ in range(count)]
    for one, other in edges:
        neighbours[one].append(other)
        neighbours[other].append(one)
    distances = np.full((count, count), np.inf)
    for start in range(count):
        distances[start, start] = 0
        queue = deque([start])
        while queue:
            at = queue.popleft()
            for near in neighbours[at]:
                if distances[start, near] == np.inf:
                    distances[start, near] = distances[start, at] + 1
                    queue.append(near)
    reached = np.isfinite(distances)
    distances[~reached] = distances[reached].max() + 1
    return distances


def _start(distances: npt.NDArray[np.float64]) -> Places:
    count = len(distances)
    centring = np.eye(count) - 1 / count
    values, vectors = np.linalg.eigh(-0.5 * centring @ distances**2 @ centring)
    places = vectors[:, -2:] * np.sqrt(np.maximum(values[-2:], 0))
    # Leaves of one node are alike to the scaling; a small turn each keeps them from standing on one spot.
    angles = np.arange(count) * _GOLDEN_ANGLE
    return np.asarray(places + 0.05 * np.column_stack([np.cos(angles), np.sin(angles)]))
