"""Trees as machine code: loading what lleaves compiled, and whether it agrees with LightGBM's own predictor."""

import ctypes
from collections.abc import Callable
from importlib.metadata import version
from typing import Final

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.features import CATEGORICAL_COLUMNS, FEATURES
from bihuan_scoring.domain.interest_match import Floats
from bihuan_scoring.predictor import Trees

TOLERANCE: Final = 1e-9
"""Largest difference of log-odds up to which two predictors agree."""

CODE_MODEL: Final = "small"
TREES_A_BLOCK: Final = 20
"""Trees that are walked for all rows at hand before the next ones; chosen by measuring, as the code model."""

_ENTRY: Final = "forest_root"
_DOUBLES = ctypes.POINTER(ctypes.c_double)
_FUNCTION: Final = ctypes.CFUNCTYPE(None, _DOUBLES, _DOUBLES, ctypes.c_int32, ctypes.c_int32)
_UNSEEN_CODES: Final = (-1.0, 251.0, 1_000_000.0)
_EXTREMES: Final = (0.0, -1e30, 1e30, float("inf"), float("-inf"))
_ROWS_AT_ONCE: Final = 1_024
"""Trees are walked block by block: rows that stay in the cache are not fetched again for the next block."""
_CHANGED_SHARE: Final = 0.2


def machine_key() -> str:
    """What machine code depends on besides the trees: compiler versions and the processor. Raises ImportError."""
    from llvmlite import binding  # noqa: PLC0415  # LLVM is loaded where trees are compiled, and nowhere else

    return "\0".join(
        (
            f"{CODE_MODEL} {TREES_A_BLOCK}",
            version("lleaves"),
            version("llvmlite"),
            binding.get_host_cpu_name(),
            binding.get_host_cpu_features().flatten(),
        )
    )


class CompiledTrees:
    """Trees from an object file. What is loaded is executed: give it only what was compiled here."""

    kind: Final = "lleaves"

    __slots__ = ("_engine", "_entry")

    def __init__(self, code: bytes) -> None:
        """Link the object; raises RuntimeError where it is none."""
        from llvmlite import binding  # noqa: PLC0415  # as above

        binding.initialize_native_target()
        binding.initialize_native_asmprinter()
        held = binding.ObjectFileRef.from_data(code)
        if not held:
            raise RuntimeError("this is no object file")
        target = binding.Target.from_default_triple().create_target_machine(reloc="pic", codemodel=CODE_MODEL)
        # The engine owns the code: it must live as long as the function does. llvmlite's memory manager reserves one
        # block for all sections, so that the small code model's distances hold wherever the process has room.
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), target, use_lmm=True)
        self._engine.add_object_file(held)
        self._engine.finalize_object()
        address = self._engine.get_function_address(_ENTRY)
        if not address:
            raise RuntimeError("the object holds no trees")
        self._entry: Callable[..., None] = _FUNCTION(address)

    def scores(self, matrix: Floats) -> Floats:
        """What the trees add to the log-odds, one a row; the interpreter's lock is released meanwhile."""
        if matrix.ndim != 2 or matrix.shape[1] != len(FEATURES):  # noqa: PLR2004  # compiled code checks nothing
            raise ValueError(f"trees take rows of {len(FEATURES)} columns")
        rows = np.ascontiguousarray(matrix, dtype=np.float64)
        scores = np.zeros(len(rows))
        into, out = rows.ctypes.data_as(_DOUBLES), scores.ctypes.data_as(_DOUBLES)
        for first in range(0, len(rows), _ROWS_AT_ONCE):
            self._entry(into, out, first, min(first + _ROWS_AT_ONCE, len(rows)))
        return scores


def disagreement(one: Trees, other: Trees, sample: Floats) -> float:
    """
    Largest difference of two predictors on real rows, and on the same with values missing, unseen and extreme.

    Infinite where either says something that is no number.
    """
    rows = probes(sample)
    difference = float(np.abs(one.scores(rows) - other.scores(rows)).max(initial=0.0))
    return difference if np.isfinite(difference) else float("inf")


def probes(sample: Floats) -> Floats:
    """The rows, and copies with a fifth of the values missing, of the codes unseen, and of the numbers extreme."""
    source = np.random.default_rng(0)
    codes = np.zeros(sample.shape[1], dtype=bool)
    codes[list(CATEGORICAL_COLUMNS)] = True

    def altered(columns: npt.NDArray[np.bool_], values: tuple[float, ...]) -> Floats:
        chosen = (source.random(sample.shape) < _CHANGED_SHARE) & columns
        return np.where(chosen, source.choice(values, sample.shape), sample)

    everywhere = np.ones_like(codes)
    return np.vstack(
        [
            sample,
            altered(everywhere, (float("nan"),)),
            altered(codes, _UNSEEN_CODES),
            altered(~codes, _EXTREMES),
            np.full((1, sample.shape[1]), np.nan),
        ]
    )
