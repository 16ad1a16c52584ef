"""Member sets as Roaring bitmaps, one file each: the SHA-256 of the content, then the portable 64-bit form."""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from uuid import uuid4

from pyroaring import BitMap64

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_shared.errors import FailedPrecondition

_SUFFIX = ".roaring"
_DIGEST_BYTES = 32


class BitmapFiles:
    """Bitmaps in a folder; a file appears whole or not at all, and is durable once saved."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def build(self, person_ids: Sequence[int]) -> MemberSet:
        """A bitmap; equal sets have equal bytes. Blocks for about 0.1 s a million."""
        members = BitMap64(person_ids)
        members.run_optimize()
        return _typed(members)

    def save(self, name: str, members: MemberSet) -> None:
        """Write beside, sync, rename, sync the folder. Blocks."""
        self._root.mkdir(parents=True, exist_ok=True)
        content = members.serialize()
        draft = self._root / f".{name}.{uuid4().hex}"
        try:
            with draft.open("xb") as file:
                file.write(hashlib.sha256(content).digest())
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(self._path(name))
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        folder = os.open(self._root, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def load(self, name: str) -> MemberSet:
        """Read and check; FailedPrecondition where the file is missing or damaged. Blocks."""
        try:
            stored = self._path(name).read_bytes()
        except OSError as error:
            raise FailedPrecondition(f"the members of {name} are missing") from error
        digest, content = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if hashlib.sha256(content).digest() != digest:
            raise FailedPrecondition(f"the members of {name} are damaged")
        return _typed(BitMap64.deserialize(content))

    def keep_only(self, names: frozenset[str]) -> None:
        """Delete every other file of the folder, drafts included. Blocks."""
        kept = {self._path(name) for name in names}
        for path in self._root.glob("*") if self._root.is_dir() else ():
            if path not in kept:
                path.unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self._root / f"{name}{_SUFFIX}"


def _typed(members: object) -> MemberSet:
    """The library is untyped; this is the one place that says what its bitmap is."""
    assert isinstance(members, BitMap64)
    found: MemberSet = members
    return found
