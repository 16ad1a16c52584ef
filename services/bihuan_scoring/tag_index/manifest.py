"""Which segments there are, and how far changes are in them; a generation appears whole or not at all."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Final
from uuid import uuid4

import msgspec

from bihuan_scoring.tag_index.content import Content
from bihuan_scoring.tag_index.index import TagIndex
from bihuan_scoring.tag_index.segment_file import BitmapCache, IndexDamaged, opened, save, sync_folder

_NAME: Final = "manifest.json"
FORMAT: Final = 2


class Manifest(msgspec.Struct, frozen=True):
    """
    A generation.

    `position` is the place in the stream of changes that is followed up to, `due_us` the instant up to which persons
    who change by themselves were read again, `built_us` when everyone was read. `segments` are files, of each block
    the oldest first.
    """

    position: str
    due_us: int
    built_us: int
    segments: list[str]
    format: int = FORMAT


def stored(folder: Path, index: TagIndex, cache: BitmapCache, position: str, due_us: int, built_us: int) -> TagIndex:
    """Store a generation durably, and the same index over its files. Blocks."""
    opened_by_id = {
        id(content): opened(folder, save(folder, content), cache) for content in index.contents() if not content.name
    }
    index = index.stored_as(opened_by_id)
    manifest = Manifest(position, due_us, built_us, [content.name for content in index.contents()])
    folder.mkdir(parents=True, exist_ok=True)
    draft = folder / f".{_NAME}.{uuid4().hex}"
    with draft.open("xb") as file:
        file.write(msgspec.json.encode(manifest))
        file.flush()
        os.fsync(file.fileno())
    draft.replace(folder / _NAME)
    sync_folder(folder)
    _keep_only(folder, {_NAME, *manifest.segments})
    return index


def loaded(folder: Path, cache: BitmapCache) -> tuple[Manifest, TagIndex]:
    """The stored generation. Raises IndexDamaged where there is none that can be read. Blocks."""
    try:
        manifest = msgspec.json.decode((folder / _NAME).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        raise IndexDamaged("the tag index has no manifest that can be read") from error
    if manifest.format != FORMAT:
        raise IndexDamaged("the tag index was written by another version")
    contents: Iterable[Content] = [opened(folder, name, cache) for name in manifest.segments]
    return manifest, TagIndex.of(contents)


def _keep_only(folder: Path, names: set[str]) -> None:
    # What is still mapped stays readable after its name is gone.
    for path in folder.iterdir():
        if path.name not in names:
            path.unlink(missing_ok=True)
