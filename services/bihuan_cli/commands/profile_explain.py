"""`bihuan profile explain`: why a person is in a stage, segment or tier."""

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Literal

import typer
from google.protobuf.json_format import MessageToDict
from rich.markup import escape
from rich.tree import Tree

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan.profile.v1 import profile_pb2
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceStub
from bihuan_cli.commands.identity_inspect import Who, find_person
from bihuan_cli.commands.terminal import STATE, AsJson, State, console, run
from bihuan_cli.stack.channel import service_channel
from bihuan_shared.clock import format_rfc3339, to_us

RPC_TIMEOUT_S = 30.0

Purpose = Literal["targeting", "personalisation", "measurement", "insight"]


class DataClass(StrEnum):
    """Classes of data that a consent can name."""

    REGISTRATION = "registration"
    OPERATION = "operation"
    TRANSACTION = "transaction"
    SOCIAL = "social"


ReadFor = Annotated[Purpose, typer.Option(help="What the answer is for.")]
Agreed = Annotated[
    list[DataClass], typer.Option("--class", help="Class of data that the person's consent names; may be repeated.")
]

NOT_SOCIAL = [DataClass.REGISTRATION, DataClass.OPERATION, DataClass.TRANSACTION]
"""What is taken as agreed to unless told otherwise."""


def explain(
    who: Who,
    state: State = STATE,
    *,
    purpose: ReadFor = "insight",
    classes: Agreed = NOT_SOCIAL,
    subject: Annotated[str, typer.Option(help="Only this, for example relation:acme.")] = "",
    print_json: AsJson = False,
) -> None:
    """Say by which rule, and on what evidence, a person is in each stage, segment and tier that may be told."""
    answer = run(fetch_explanations(state, who, purpose, classes))
    shown = [one for one in answer.explanations if subject in ("", one.subject)]
    if print_json:
        rows = [MessageToDict(one, preserving_proto_field_name=True) for one in shown]
        console.print_json(json.dumps({"explanations": rows, "withheld_count": answer.withheld_count}))
        return
    for one in shown:
        console.print(_tree(one), highlight=False)
    console.print(f"[dim]{answer.withheld_count} withheld by purpose and consent[/]", highlight=False)


async def fetch_explanations(
    state: Path, who: str, purpose: Purpose, classes: list[DataClass]
) -> profile_pb2.ExplainProfileResponse:
    """
    Ask the profile service of the stack that runs on `state`.

    Raises FailedPrecondition where none runs, InvalidArgument for what names nobody, NotFound.
    """
    read_for = common_pb2.Purpose.Value(f"PURPOSE_{purpose.upper()}")
    agreed = [common_pb2.DataClass.Value(f"DATA_CLASS_{one.name}") for one in classes]
    if who.isdecimal():
        person_id = int(who)
    else:
        async with service_channel(state, "identity") as channel:
            person_id = await find_person(IdentityServiceStub(channel), who)
    request = profile_pb2.ExplainProfileRequest(
        person=common_pb2.PersonRef(person_id=person_id),
        purpose=read_for,
        consent=common_pb2.Consent(purposes=[read_for], data_classes=agreed),
    )
    async with service_channel(state, "profile") as channel:
        return await ProfileServiceStub(channel).ExplainProfile(request, timeout=RPC_TIMEOUT_S)


def _tree(one: profile_pb2.Explanation) -> Tree:
    tree = Tree(f"[bold]{escape(one.subject)}[/] is [bold]{escape(one.value)}[/]")
    tree.add(f"rule: {escape(one.rule)}")
    tree.add(f"source: {escape(one.source)}")
    evidence = tree.add("evidence")
    for fact in one.evidence:
        evidence.add(f"{escape(fact.name)}: {escape(fact.value)}")
    until = format_rfc3339(to_us(one.until_time)) if one.HasField("until_time") else "something happens"
    tree.add(f"until: {until}")
    return tree
