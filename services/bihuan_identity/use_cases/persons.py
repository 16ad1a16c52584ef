"""Persons: showing one, erasing one, and what is held back from merging."""

from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_identity.domain.graph import MAX_PERSON_ID, Erasure, PersonView
from bihuan_identity.domain.linking import ContentConflictError
from bihuan_identity.domain.receipts import ErasureStatement, ReceiptKeys, digest_keys, digest_request
from bihuan_identity.domain.undoing import EraseCommand, UnknownPersonError, plan_erase
from bihuan_identity.use_cases.committing import Graph, Identity, commit
from bihuan_identity.use_cases.linking import conflict
from bihuan_identity.use_cases.ports import QuarantinedNode
from bihuan_shared.clock import SECOND_US
from bihuan_shared.errors import FieldViolation, NotFound

_UNKNOWN = "there is no such person"


@dataclass(frozen=True, slots=True)
class Erasing:
    """What erasing works with."""

    graph: Graph
    receipts: ReceiptKeys


async def get_person(identity: Identity, person_id: int) -> PersonView:
    """Show the person that an id stands for now, aliases followed. Raises NotFound and Unavailable."""
    view = await identity.graph.store.person(person_id) if 0 < person_id <= MAX_PERSON_ID else None
    if view is None:
        raise _unknown()
    return view


async def erase_person(erasing: Erasing, command: EraseCommand) -> str:
    """
    Erase the person that an id stands for, with its identifiers and evidence; returns the receipt.

    A repeat is answered with the same receipt as long as the signing key is the same. Raises NotFound, AlreadyExists
    (CONTENT_CONFLICT) where the request id came with other content, and Unavailable.
    """
    graph = erasing.graph
    if not 0 < command.person_id <= MAX_PERSON_ID:
        raise _unknown()
    try:
        erased = await commit(graph, lambda view: plan_erase(view, command, graph.rules, epoch=graph.epoch))
    except ContentConflictError:
        raise conflict() from None
    except UnknownPersonError:
        raise _unknown() from None
    return erasing.receipts.issue(_statement(command, erased))


def _statement(command: EraseCommand, erased: Erasure) -> ErasureStatement:
    return ErasureStatement(
        erasure_id=erased.erasure_id,
        erase_time_us=erased.time_s * SECOND_US,
        identifier_count=len(erased.keys),
        keys_sha256=digest_keys(erased.keys),
        request_sha256=digest_request(command.caller, command.request_id),
    )


async def list_quarantined(identity: Identity, after: bytes, limit: int) -> Sequence[QuarantinedNode]:
    """List identifiers that nothing merges through, above a key, ascending. Raises Unavailable."""
    return await identity.graph.store.quarantined_after(after, limit)


def _unknown() -> NotFound:
    return NotFound(_UNKNOWN, FieldViolation("person.person_id", "is not known"))
