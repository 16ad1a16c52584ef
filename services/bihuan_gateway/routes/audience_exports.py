"""Audiences as files of person tokens."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from tempfile import SpooledTemporaryFile
from typing import IO, Annotated, Any, Final, Literal

import pyarrow as pa
import pyarrow.parquet as pq
from fastapi.responses import StreamingResponse
from pydantic import StringConstraints

from bihuan_gateway.control.exports import ExportPart, ExportPurpose
from bihuan_gateway.control.fields import Spec
from bihuan_gateway.routes.report_files import CSV_TYPE, FILES, PARQUET_TYPE
from bihuan_gateway.routes.wire import Caller, Control, Named, control_router

router = control_router("audiences")

IN_MEMORY_BYTES: Final = 4 << 20
"""What is longer waits on the disk until all of it is there: half a package is never answered as a whole one."""
_CHUNK_BYTES: Final = 1 << 16
_ROW_GROUP: Final = 100_000
_SCHEMA: Final = pa.schema([pa.field("person_token", pa.string(), nullable=False)])


class ExportAsked(Spec):
    """Whose tokens, what for, and in which form."""

    partner: Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_.-]{0,63}$")]
    purpose: ExportPurpose
    format: Literal["csv", "parquet"] = "csv"


@router.post("/v1/audiences/{resource_id}:export", response_class=StreamingResponse, responses=FILES)
async def export_audience(resource_id: Named, body: ExportAsked, control: Control, caller: Caller) -> StreamingResponse:
    """
    Write an audience as person tokens of a partner, one a line, in an order without meaning; admin only.

    `x-sent-count` tells how many, `x-left-out-count` about how many members were left out: those of whom nothing may be
    used for the purpose, and those without a token. 409 (BELOW_FLOOR) where fewer than 50 are left.
    """
    parts = control.exports.export(caller, resource_id, body.partner, body.purpose)
    spool: IO[bytes] = SpooledTemporaryFile(IN_MEMORY_BYTES)  # noqa: SIM115  # closed once it was sent
    try:
        last = await (_write_csv(spool, parts) if body.format == "csv" else _write_parquet(spool, parts))
        spool.seek(0)
    except BaseException:
        spool.close()
        raise
    headers = {"x-sent-count": str(last.sent_count), "x-left-out-count": str(last.left_out_count or 0)}
    kind = f"{CSV_TYPE}; charset=utf-8" if body.format == "csv" else PARQUET_TYPE
    return StreamingResponse(_chunks(spool), media_type=kind, headers=headers)


async def _write_csv(spool: IO[bytes], parts: AsyncIterator[ExportPart]) -> ExportPart:
    spool.write(b"person_token\r\n")
    last = ExportPart(())
    async for last in parts:
        await asyncio.to_thread(spool.write, "".join(f"{token}\r\n" for token in last.tokens).encode())
    return last


async def _write_parquet(spool: IO[bytes], parts: AsyncIterator[ExportPart]) -> ExportPart:
    waiting: list[str] = []
    last = ExportPart(())
    with pq.ParquetWriter(spool, _SCHEMA) as writer:
        async for last in parts:
            waiting += last.tokens
            if len(waiting) >= _ROW_GROUP:
                await asyncio.to_thread(_write_rows, writer, waiting)
                waiting = []
        await asyncio.to_thread(_write_rows, writer, waiting)
    return last


def _write_rows(writer: Any, tokens: list[str]) -> None:  # noqa: ANN401  # pyarrow is not typed
    writer.write_table(pa.table([pa.array(tokens, pa.string())], schema=_SCHEMA))


def _chunks(spool: IO[bytes]) -> Iterator[bytes]:
    with spool:
        while chunk := spool.read(_CHUNK_BYTES):
            yield chunk
