"""`bihuan audience report`: an audience, what sets it apart, and what speaks for a look-alike, as one page."""

import json
from pathlib import Path
from typing import Annotated, Final

import typer
from google.protobuf.json_format import MessageToDict
from rich.console import Console

from bihuan.scoring.v1 import audience_pb2
from bihuan.scoring.v1.audience_pb2_grpc import AudienceServiceStub
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.stack.channel import service_channel
from bihuan_shared.errors import FailedPrecondition

RPC_TIMEOUT_S: Final = 30.0
READ_TIMEOUT_S: Final = 3_600.0
"""Every profile is read for the tags."""

Named = Annotated[str, typer.Argument(metavar="ID", help="The audience.", show_default=False)]
Out = Annotated[Path | None, typer.Option(help="File of the page; `audience-<ID>.html` by default.")]
Tags = Annotated[int, typer.Option("--tags", min=1, max=1_000, help="How many tags at most.")]

Found = tuple[audience_pb2.GetAudienceResponse, audience_pb2.DescribeAudienceResponse | None]


def report(
    audience_id: Named, state: State = STATE, out: Out = None, tags: Tags = 50, *, as_json: AsJson = False
) -> None:
    """Write what is known of an audience as one HTML page, or print it as JSON. Counts are told with noise."""
    shown, described = run(_read(state, audience_id, tags))
    if as_json:
        shown.audience.ClearField("size")
        document = MessageToDict(shown, preserving_proto_field_name=True)
        if described is not None:
            described.audience.Clear()
            document["composition"] = MessageToDict(described, preserving_proto_field_name=True)
        typer.echo(json.dumps(document, indent=2, sort_keys=True))
        return
    from bihuan_cli.cards.audience_page import audience_page  # noqa: PLC0415  # pages are not needed to start

    target = out or Path(f"audience-{audience_id}.html")
    target.write_text(audience_page(shown, described), encoding="utf-8")
    console.print(target, highlight=False, soft_wrap=True)


async def _read(state: Path, audience_id: str, tags: int) -> Found:
    """The audience, and its tags where it is ready and there are enough members."""
    async with service_channel(state, "scoring") as channel:
        stub = AudienceServiceStub(channel)
        named = audience_pb2.GetAudienceRequest(audience_id=audience_id)
        shown = await stub.GetAudience(named, timeout=RPC_TIMEOUT_S)
        request = audience_pb2.DescribeAudienceRequest(audience_id=audience_id, max_tags=tags)
        try:
            with Console(stderr=True).status("reading profiles"):
                return shown, await stub.DescribeAudience(request, timeout=READ_TIMEOUT_S)
        except FailedPrecondition:
            # Not built yet, or too few members.
            return shown, None
