"""Runs the linkage, with its libraries loaded only then."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from bihuan_shared.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from bihuan_identity.linkage.job import Linkage
    from bihuan_identity.linkage.verdict import Verdict

EngineName = Literal["duckdb", "spark"]


def perform(
    files: tuple[tuple[Path, str], ...],
    *,
    engine: EngineName = "duckdb",
    truth_column: str | None = None,
    exclude: tuple[str, ...] = (),
    spec: Path | None = None,
    one_to_one: bool = False,
    min_confidence: float | None = None,
    seed: int = 1,
    work_dir: Path | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> "tuple[Linkage, Verdict | None]":
    """
    Link one or two files, each with its column of record ids, and judge the result where a truth column is named.

    Raises InvalidArgument that names the option or column at fault, FailedPrecondition where a library is missing or
    nothing can be learnt.
    """
    if work_dir is not None and not work_dir.is_dir():
        raise InvalidArgument.of("work_dir", f"{work_dir} is not a folder")
    try:
        from bihuan_identity.linkage.engines import open_engine  # noqa: PLC0415  # takes a second, and an extra
        from bihuan_identity.linkage.job import LinkageOrder, link_files  # noqa: PLC0415  # as above
        from bihuan_identity.linkage.records import InputFile  # noqa: PLC0415  # as above
        from bihuan_identity.linkage.verdict import judge  # noqa: PLC0415  # as above
    except ModuleNotFoundError as error:
        if error.name != "splink":
            raise
        raise FailedPrecondition("record linkage needs Splink: pip install 'bihuan[linkage]'") from None
    order = LinkageOrder(
        files=tuple(InputFile(path, id_column, truth_column) for path, id_column in files),
        spec_path=spec,
        excluded=frozenset(exclude),
        one_to_one=one_to_one,
        seed=seed,
        min_confidence=min_confidence,
        work_dir=work_dir,
    )
    running = open_engine(engine)
    try:
        linkage = link_files(order, running, say)
    finally:
        running.close()
    return linkage, (None if truth_column is None else judge(linkage, linkage.records.truth))
