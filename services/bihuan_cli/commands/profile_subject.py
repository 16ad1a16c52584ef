"""`bihuan profile export-subject`: everything that is held about one person."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from google.protobuf.json_format import MessageToDict

from bihuan.common.v1.common_pb2 import PersonRef
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.commands.terminal import STATE, State, run
from bihuan_cli.stack.channel import service_channel

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

RPC_TIMEOUT_S = 600.0

PersonId = Annotated[int, typer.Argument(help="A person id.", min=1, show_default=False)]


def export_subject(person_id: PersonId, state: State = STATE) -> None:
    """Write everything that is held about a person, whatever its class, as lines of JSON: a subject's access."""
    run(_write_lines(state, person_id))


async def _write_lines(state: Path, person_id: int) -> None:
    async for record in held_records(state, person_id):
        line = MessageToDict(record, preserving_proto_field_name=True)
        line["value"] = json.loads(line.pop("value_json", "null"))
        typer.echo(json.dumps(line, ensure_ascii=False))


async def held_records(state: Path, person_id: int) -> AsyncIterator[pb.HeldRecord]:
    """Ask the profile service of the stack that runs on `state`. Raises FailedPrecondition where none runs."""
    channel = service_channel(state, "profile")
    try:
        stub: ProfileServiceAsyncStub = ProfileServiceStub(channel)
        request = pb.ExportProfileRequest(person=PersonRef(person_id=person_id))
        async for part in stub.ExportProfile(request, timeout=RPC_TIMEOUT_S):
            for record in part.records:
                yield record
    finally:
        await channel.close()
