"""`bihuan identity inspect`: what identity knows of one person, and why."""

import json
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.portraits.dot import draw_dot
from bihuan_cli.portraits.portrait import Portrait, as_json, read_portrait
from bihuan_cli.portraits.svg import draw_svg
from bihuan_cli.portraits.tree import draw_tree
from bihuan_cli.stack.channel import service_channel
from bihuan_shared.errors import InvalidArgument, NotFound

if TYPE_CHECKING:
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub

RPC_TIMEOUT_S = 30.0

Who = Annotated[
    str,
    typer.Argument(
        help="A person id, or NAMESPACE:VALUE; NAMESPACE:- reads the value from standard input.", show_default=False
    ),
]
SvgFile = Annotated[Path | None, typer.Option("--svg", help="Write an SVG picture here.", dir_okay=False)]
DotFile = Annotated[Path | None, typer.Option("--dot", help="Write a Graphviz graph here.", dir_okay=False)]


def inspect(
    who: Who,
    state: State = STATE,
    *,
    print_json: AsJson = False,
    svg: SvgFile = None,
    dot: DotFile = None,
) -> None:
    """Show a person's evidence as a tree; identifiers appear as the first digits of their keyed hashes only."""
    portrait = run(fetch_portrait(state, who))
    for path, draw in ((svg, draw_svg), (dot, draw_dot)):
        if path is not None:
            path.write_text(draw(portrait))
    if print_json:
        console.print_json(json.dumps(as_json(portrait)))
    else:
        console.print(draw_tree(portrait), highlight=False)


async def fetch_portrait(state: Path, who: str) -> Portrait:
    """
    Ask the identity service of the stack that runs on `state`.

    Raises FailedPrecondition where none runs, InvalidArgument for what names nobody, NotFound.
    """
    async with service_channel(state, "identity") as channel:
        stub = IdentityServiceStub(channel)
        person_id = int(who) if re.fullmatch(r"[0-9]{1,20}", who) else await find_person(stub, who)
        request = pb.GetPersonRequest(person=common_pb2.PersonRef(person_id=person_id))
        return read_portrait(await stub.GetPerson(request, timeout=RPC_TIMEOUT_S))


async def find_person(stub: "IdentityServiceAsyncStub", who: str) -> int:
    """The id of the person known by NAMESPACE:VALUE. Raises InvalidArgument for what names nobody, NotFound."""
    namespace, colon, value = who.partition(":")
    if not colon:
        # What was given may be an identifier itself, so it is not repeated.
        raise InvalidArgument("name a person by its id or by NAMESPACE:VALUE")
    if value == "-":
        value = sys.stdin.readline().rstrip("\n")
    item = pb.ResolveItem(identifiers=[common_pb2.Identifier(namespace=namespace, value=value)])
    answer = await stub.Resolve(pb.ResolveRequest(item=item), timeout=RPC_TIMEOUT_S)
    if answer.result.WhichOneof("person") != "person_id":
        raise NotFound("nobody is known by this identifier")
    return int(answer.result.person_id)
