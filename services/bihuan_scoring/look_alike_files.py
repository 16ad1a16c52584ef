"""Look-alike jobs in folders of their own: `<root>/<name>/snapshot-<begun>.parquet`, and what the job keeps beside."""

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from pyroaring import BitMap64

from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.lookalike.job import Stopped, expand
from bihuan_scoring.lookalike.leakage import Definition
from bihuan_scoring.lookalike.order import LookAlikeOrder
from bihuan_scoring.lookalike.snapshot import SnapshotWriter, snapshot_rows
from bihuan_scoring.lookalike.workers import ThreadWorkers
from bihuan_scoring.use_cases.ports import LookAlikeTask, LookAlikeWatch

_SNAPSHOT = "snapshot-"


class LookAlikeFiles:
    """Does the jobs on threads of this process. One job at a time takes a snapshot."""

    def __init__(self, root: Path, threads: int = 1) -> None:
        self._root = root
        self._threads = threads
        self._writers: dict[str, tuple[SnapshotWriter, BitMap64]] = {}

    def has_snapshot(self, name: str, not_before_us: int) -> bool:
        """As the port says."""
        found = self._snapshot(name)
        return found is not None and _begun_us(found) >= not_before_us

    def begin_snapshot(self, name: str, as_of_us: int) -> None:
        """As the port says."""
        if name in self._writers:
            self._writers.pop(name)[0].abandon()
        shutil.rmtree(self._root / name, ignore_errors=True)
        writer = SnapshotWriter(self._root / name / f"{_SNAPSHOT}{as_of_us}.parquet")
        self._writers[name] = writer, BitMap64()

    def add(self, name: str, persons: Sequence[PersonFacts]) -> None:
        """As the port says."""
        writer, known = self._writers[name]
        new = list({person.person_id: person for person in persons if person.person_id not in known}.values())
        known.update(person.person_id for person in new)
        writer.write(snapshot_rows(new))

    def finish_snapshot(self, name: str) -> None:
        """As the port says."""
        writer, _ = self._writers.pop(name)
        writer.finish()

    def expand(self, name: str, task: LookAlikeTask, watch: LookAlikeWatch) -> tuple[Sequence[int], str] | None:
        """As the port says."""
        path = self._snapshot(name)
        assert path is not None, "a snapshot is taken first"
        order = LookAlikeOrder(
            (path,),
            np.array(sorted(task.seed_ids), dtype=np.int64),
            _begun_us(path),
            target_size=task.of.target_size,
            least_precision=task.of.least_precision,
            definition=Definition.of(task.seed_definition),
            cut_off_us=task.of.cut_off_us,
        )
        try:
            package = expand(order, ThreadWorkers(self._threads), self._root / name, watch)
        except Stopped:
            return None
        return package.person_ids.tolist(), package.evidence.to_json()

    def keep_only(self, names: frozenset[str]) -> None:
        """As the port says."""
        for name in self._writers.keys() - names:
            self._writers.pop(name)[0].abandon()
        for folder in self._root.glob("*") if self._root.is_dir() else ():
            if folder.name not in names:
                shutil.rmtree(folder, ignore_errors=True)

    def _snapshot(self, name: str) -> Path | None:
        return next(iter(sorted((self._root / name).glob(f"{_SNAPSHOT}*.parquet"))), None)


def _begun_us(path: Path) -> int:
    return int(path.stem.removeprefix(_SNAPSHOT))
