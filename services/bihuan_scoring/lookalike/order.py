"""What a look-alike job is asked for."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final, Protocol

from bihuan_scoring.lookalike.layout import LAYOUT_VERSION, Bounds
from bihuan_scoring.lookalike.leakage import Definition
from bihuan_scoring.lookalike.sampling import Ids
from bihuan_scoring.lookalike.training import LookAlikeConfig

LEAST_SEEDS: Final = 100
"""Fewer seeds teach little, and what was learnt from them would tell of them."""


@dataclass(frozen=True, slots=True, eq=False)
class LookAlikeOrder:
    """
    Whom to find, and where.

    `seed_ids` ascend without repetition. The package holds `target_size` persons of the snapshot who are no seeds; with
    0 as many as keep an estimated precision of `least_precision`. Ages count from `as_of_us`, when the snapshot was
    taken; what was learnt at `cut_off_us` or later (0: not known), when the seed had been drawn, is not used.
    """

    paths: Sequence[Path]
    seed_ids: Ids
    as_of_us: int
    target_size: int = 0
    least_precision: float = 0.0
    definition: Definition = field(default_factory=Definition)
    cut_off_us: int = 0
    most_seeds: int = 50_000
    most_others: int = 150_000
    bounds: Bounds = field(default_factory=Bounds)
    config: LookAlikeConfig = field(default_factory=LookAlikeConfig)

    def fingerprint(self) -> str:
        """Changes with everything that the outcome depends on; files count by name, size and time of change."""
        files = [(path.name, path.stat().st_size, path.stat().st_mtime_ns) for path in self.paths]
        hidden = sorted(self.definition.tags), sorted(self.definition.attributes)
        digest = hashlib.sha256(self.seed_ids.tobytes())
        shown = replace(self, paths=(), seed_ids=self.seed_ids[:0], definition=Definition())
        settings = repr((LAYOUT_VERSION, shown, hidden, files))
        digest.update(settings.encode())
        return digest.hexdigest()


class Watch(Protocol):
    """Whoever waits for a job."""

    def progress(self, share: float) -> None:
        """So much is done, in [0, 1]."""
        ...

    def stopped(self) -> bool:
        """True where nobody waits any more."""
        ...


class Unwatched:
    """Nobody looks on."""

    def progress(self, share: float) -> None:
        """Say nothing."""

    def stopped(self) -> bool:
        """Never."""
        return False
