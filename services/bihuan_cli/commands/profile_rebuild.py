"""`bihuan profile rebuild`: one person anew from the lake."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bihuan.common.v1.common_pb2 import PersonRef
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.stack.channel import service_channel

if TYPE_CHECKING:
    from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceAsyncStub

RPC_TIMEOUT_S = 600.0
"""Every file of the lake is looked at."""

PersonId = Annotated[int, typer.Argument(help="A person id.", min=1, show_default=False)]


def rebuild(person_id: PersonId, state: State = STATE, *, as_json: AsJson = False) -> None:
    """
    Make one person's profile anew from the lake; one that is whole stays as it is.

    All profiles are made anew by the service itself where its store has lost them.
    """
    made = run(_rebuild(state, person_id))
    erased = not made.HasField("person")
    if as_json:
        figures = {"erased": erased, "events": made.event_count, "attributes": made.attribute_count}
        typer.echo(json.dumps({"person_id": made.person.person_id or None, **figures}))
    elif erased:
        console.print("the person was erased; nothing is held")
    else:
        console.print(
            f"person {made.person.person_id}: {made.event_count:,} events, {made.attribute_count:,} attributes",
            highlight=False,
        )


async def _rebuild(state: Path, person_id: int) -> pb.RebuildProfileResponse:
    async with service_channel(state, "profile") as channel:
        stub: ProfileServiceAsyncStub = ProfileServiceStub(channel)
        request = pb.RebuildProfileRequest(person=PersonRef(person_id=person_id))
        return await stub.RebuildProfile(request, timeout=RPC_TIMEOUT_S)
