"""Links as evidence, and how identity is told of them: a few calls at a time, each safe to repeat."""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bihuan.common.v1 import common_pb2
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.errors import (
    AlreadyExists,
    BihuanError,
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    ResourceExhausted,
    Unavailable,
)

if TYPE_CHECKING:
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub
    from bihuan_identity.linkage.job import Linkage

SOURCE: Final = "splink"
CALLS_AT_ONCE: Final = 16
RPC_TIMEOUT_S: Final = 30.0
ATTEMPTS: Final = 4
FIRST_PAUSE_S: Final = 0.2
CONFIDENCE_STEPS: Final = 10_000
"""Confidences are rounded down to ten-thousandths, below 1: a repeated run then tells the same."""

Pause = Callable[[float], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reference:
    """A record as the report names it: by file and row, never by what it says."""

    file: str
    row: int


@dataclass(frozen=True, slots=True)
class Finding:
    """One link to tell, with the records it rests on."""

    request: pb.LinkRequest
    rows: tuple[Reference, Reference]


@dataclass(frozen=True, slots=True)
class Refusal:
    """A link that identity did not take, and why."""

    rows: tuple[Reference, Reference]
    reason: str


@dataclass(frozen=True, slots=True)
class Telling:
    """What became of the links."""

    sent: int
    quarantined: int
    merged_persons: int
    refused: tuple[Refusal, ...]


def findings(
    linkage: "Linkage", files: Sequence[str], namespaces: Sequence[str], key: bytes
) -> tuple[list[Finding], list[Refusal]]:
    """
    Put links into requests; `files` and `namespaces` are those of the linkage's files, in order.

    A request id is an HMAC under `key` of the model, the identifiers and the confidence: the same link of the same
    model has the same id in every run, and the id gives nothing away. Records whose identifiers are equal are refused.
    """
    records = linkage.records
    told, refused = [], []
    for link in linkage.links:
        ends = (link.first, link.second)
        rows = [Reference(files[records.sources[end]], records.rows[end]) for end in ends]
        named = sorted((namespaces[records.sources[end]], records.ids[end]) for end in ends)
        if named[0] == named[1]:
            refused.append(Refusal((rows[0], rows[1]), "both rows have the same identifier"))
            continue
        steps = min(CONFIDENCE_STEPS - 1, max(1, int(link.probability * CONFIDENCE_STEPS)))
        text = "\0".join((linkage.scored.digest, str(steps), *named[0], *named[1]))
        request = pb.LinkRequest(
            identifiers=[common_pb2.Identifier(namespace=namespace, value=value) for namespace, value in named],
            evidence=pb.Evidence(
                kind=pb.EVIDENCE_KIND_PROBABILISTIC, source=SOURCE, confidence=steps / CONFIDENCE_STEPS
            ),
            request_id=f"{SOURCE}:{hmac.digest(key, text.encode(), 'sha256').hex()[:40]}",
        )
        told.append(Finding(request, (rows[0], rows[1])))
    return told, refused


async def tell(
    stub: "IdentityServiceAsyncStub",
    told: Sequence[Finding],
    advance: Callable[[], None],
    *,
    pause: Pause = asyncio.sleep,
) -> Telling:
    """
    Send every link, at most 16 calls at once; what identity refuses is collected, and the rest goes on.

    Raises Unavailable, ResourceExhausted or DeadlineExceeded where identity does not recover within four attempts; a
    later run goes on, since what was told counts once.
    """
    outcomes: list[pb.LinkResponse | Refusal] = []
    waiting = iter(told)

    async def one_caller(mine: Iterator[Finding]) -> None:
        for finding in mine:
            outcomes.append(await _tell_one(stub, finding, pause))
            advance()

    async with asyncio.TaskGroup() as group:
        for _ in range(min(CALLS_AT_ONCE, len(told))):
            group.create_task(one_caller(waiting))
    answers = [outcome for outcome in outcomes if isinstance(outcome, pb.LinkResponse)]
    return Telling(
        sent=len(answers),
        quarantined=sum(answer.quarantined for answer in answers),
        merged_persons=sum(len(answer.merged_person_ids) for answer in answers),
        refused=tuple(outcome for outcome in outcomes if isinstance(outcome, Refusal)),
    )


async def _tell_one(stub: "IdentityServiceAsyncStub", finding: Finding, pause: Pause) -> pb.LinkResponse | Refusal:
    for attempt in range(ATTEMPTS):
        try:
            return await stub.Link(finding.request, timeout=RPC_TIMEOUT_S)
        except (Unavailable, ResourceExhausted, DeadlineExceeded):
            if attempt == ATTEMPTS - 1:
                raise
            await pause(FIRST_PAUSE_S * 2**attempt)
        except (InvalidArgument, FailedPrecondition, AlreadyExists) as error:
            return Refusal(finding.rows, _reason(error))
    raise AssertionError("unreachable")


def _reason(error: BihuanError) -> str:
    """The field and what is wrong with it; identity's own texts never repeat a value."""
    return "; ".join(f"{item.field} {item.description}" for item in error.violations) or error.detail
