"""Means over a beta distribution by Gauss-Jacobi quadrature (Golub, Welsch, Mathematics of Computation 23, 1969)."""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh_tridiagonal

NODES: Final = 64


@lru_cache(maxsize=4_096)
def beta_nodes(a: float, b: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """
    64 points in (0, 1) and their weights, which sum to 1: Σ weight · f(point) is the mean of f over Beta(a, b).

    It is exact for polynomials of degree 127. No gamma function is involved, so nothing overflows.
    """
    first = b + a - 2
    steps = np.arange(1, NODES, dtype=np.float64)
    twice = 2 * steps + first
    diagonal = np.empty(NODES)
    diagonal[0] = (a - b) / (a + b)
    diagonal[1:] = first * (a - b) / (twice * (twice + 2))
    beside = np.empty(NODES - 1)
    # The general form is 0 / 0 in its first element where a + b = 1.
    beside[0] = 4 * a * b / ((a + b) ** 2 * (a + b + 1))
    steps, twice = steps[1:], twice[1:]
    beside[1:] = 4 * steps * (steps + b - 1) * (steps + a - 1) * (steps + first) / (twice**2 * (twice**2 - 1))
    points, vectors = eigh_tridiagonal(diagonal, np.sqrt(beside))
    return np.clip((1 + points) / 2, np.finfo(np.float64).tiny, 1.0), vectors[0] ** 2
