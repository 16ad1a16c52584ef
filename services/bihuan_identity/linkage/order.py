"""What a linkage is asked for. Free of Splink, so that it can be stated where Splink is not installed."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bihuan_identity.linkage.records import InputFile
from bihuan_shared.errors import InvalidArgument

MOST_FILES: Final = 2


@dataclass(frozen=True, slots=True)
class LinkageOrder:
    """
    What to link and how.

    One file is searched for repeated persons; of two files, persons of one are sought in the other. `one_to_one` says
    that nobody occurs twice in either of two files. `min_confidence` replaces the threshold that is otherwise chosen
    for an expected precision of `wanted_precision`. `work_dir` is where records are prepared, deleted in the end.
    """

    files: tuple[InputFile, ...]
    spec_path: Path | None = None
    excluded: frozenset[str] = frozenset()
    one_to_one: bool = False
    seed: int = 1
    min_confidence: float | None = None
    wanted_precision: float = 0.99
    work_dir: Path | None = None


def check_order(order: LinkageOrder) -> None:
    """Raise InvalidArgument, naming the field, where an order contradicts itself."""
    if not 1 <= len(order.files) <= MOST_FILES:
        raise InvalidArgument.of("file", "one or two files can be linked")
    if order.one_to_one and len(order.files) < MOST_FILES:
        raise InvalidArgument.of("one_to_one", "is about two files")
    for field, value in (("min_confidence", order.min_confidence), ("wanted_precision", order.wanted_precision)):
        if value is not None and not 0 < value < 1:
            raise InvalidArgument.of(field, "must lie between 0 and 1")
