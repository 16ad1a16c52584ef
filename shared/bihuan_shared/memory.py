"""How a process that has started up keeps the garbage collector out of its way."""

import gc

_ALLOCATIONS = 10_000


def settle_memory() -> None:
    """Take everything that startup made out of the garbage collector's sight: it stays, and looking at it is slow."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS)
