"""What a lake's files are kept in, and the store in a folder."""

import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Protocol
from uuid import uuid4

import pyarrow as pa
from pyarrow.fs import FileSelector, FileSystem, FileType, LocalFileSystem, SubTreeFileSystem

_FILE: Final = re.compile(r"date=\d{4}-\d\d-\d\d/(hour=\d\d/)?[A-Za-z0-9][A-Za-z0-9_.-]*\.parquet", re.ASCII)


class LakeStore(Protocol):
    """Where a lake's files are kept. Paths are relative to the lake; every call blocks and raises OSError."""

    def put(self, path: str, content: pa.Buffer) -> None:
        """Store a file, whole or not at all, durably on return, in place of what was there."""
        ...

    def remove(self, path: str) -> None:
        """Remove a file, durably on return; nothing where there is none."""
        ...

    def list(self, dataset: str) -> Sequence[str]:
        """Paths of the files of a dataset, sorted; none where there is no such dataset."""
        ...

    def files(self) -> FileSystem:
        """The lake for reading; its root is the lake's."""
        ...


class LocalLakeStore:
    """Files in a folder of this machine."""

    __slots__ = ("_files", "_root")

    def __init__(self, root: Path) -> None:
        self._root = root.absolute()
        self._files = SubTreeFileSystem(str(self._root), LocalFileSystem())

    def put(self, path: str, content: pa.Buffer) -> None:
        """Write beside, sync, rename, sync the folders."""
        target = self._root / path
        made = [folder for folder in target.parents if not folder.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
        # Not named .parquet, so that no reader ever takes the draft for a file of the dataset.
        draft = target.with_name(f".{target.name}.{uuid4().hex}.draft")
        try:
            with draft.open("xb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except BaseException:
            draft.unlink(missing_ok=True)
            raise
        for folder in (target.parent, *(one.parent for one in made)):
            _sync_folder(folder)

    def remove(self, path: str) -> None:
        """Unlink, and sync the folder; empty folders stay, since a writer may be about to use them."""
        target = self._root / path
        target.unlink(missing_ok=True)
        if target.parent.exists():
            _sync_folder(target.parent)

    def list(self, dataset: str) -> Sequence[str]:
        """Paths of the files of a dataset, sorted."""
        return listed(self._files, dataset)

    def files(self) -> FileSystem:
        """The folder."""
        return self._files


def listed(files: FileSystem, dataset: str) -> Sequence[str]:
    """Files of a dataset with or without hours; drafts and whatever else lies there are left out, and what is empty."""
    found = files.get_file_info(FileSelector(dataset, allow_not_found=True, recursive=True))
    start = len(dataset) + 1
    return sorted(
        one.path for one in found if one.type is FileType.File and one.size and _FILE.fullmatch(one.path, start)
    )


def is_file_of_dataset(path: str) -> bool:
    """Whether a path below a dataset is one of its files."""
    return _FILE.fullmatch(path) is not None


def _sync_folder(path: Path) -> None:
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
