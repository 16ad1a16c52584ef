"""Runs the linkage, with its libraries loaded only then."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from bihuan_identity.linkage.order import LinkageOrder
from bihuan_shared.errors import FailedPrecondition, InvalidArgument

if TYPE_CHECKING:
    from bihuan_identity.linkage.job import Linkage
    from bihuan_identity.linkage.verdict import Verdict

EngineName = Literal["duckdb", "spark"]


def perform(
    order: LinkageOrder, engine: EngineName, say: Callable[[str], None] = lambda _: None
) -> "tuple[Linkage, Verdict | None]":
    """
    Link, and judge the result where the files have a truth column.

    Raises InvalidArgument that names the option or column at fault, FailedPrecondition where a library is missing or
    nothing can be learnt.
    """
    if order.work_dir is not None and not order.work_dir.is_dir():
        raise InvalidArgument.of("work_dir", f"{order.work_dir} is not a folder")
    try:
        from bihuan_identity.linkage.engines import open_engine  # noqa: PLC0415  # takes a second, and an extra
        from bihuan_identity.linkage.job import link_files  # noqa: PLC0415  # as above
        from bihuan_identity.linkage.verdict import judge  # noqa: PLC0415  # as above
    except ModuleNotFoundError as error:
        if error.name != "splink":
            raise
        raise FailedPrecondition("record linkage needs Splink: pip install 'bihuan[linkage]'") from None
    running = open_engine(engine)
    try:
        linkage = link_files(order, running, say)
    finally:
        running.close()
    told = any(file.truth_column is not None for file in order.files)
    return linkage, (judge(linkage, linkage.records.truth) if told else None)
