"""Linking and unlinking: evidence comes and goes."""

from collections.abc import Sequence

from bihuan_identity.domain.linking import BarredError, ContentConflictError, LinkCommand, RefusedLink, plan_links
from bihuan_identity.domain.undoing import UnknownEvidenceError, UnlinkCommand, plan_unlink
from bihuan_identity.domain.working import Linked
from bihuan_identity.use_cases.committing import Graph, Identity, commit
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, NotFound


async def link(identity: Identity, command: LinkCommand) -> Linked:
    """
    Tie identifiers together, merging the persons that this connects; a repeat is answered as the first time.

    Raises AlreadyExists (CONTENT_CONFLICT) where the request id came with other content, FailedPrecondition
    (CLUSTER_GUARD) where a guard refuses and (ERASED) where an identifier was erased or its namespace given up, with
    nothing changed, and Unavailable.
    """
    (outcome,) = await identity.write_links([command])
    if isinstance(outcome, Linked):
        return outcome
    if isinstance(outcome, ContentConflictError):
        raise conflict()
    if isinstance(outcome, BarredError):
        text = "was erased, or its namespace given up, and may not come back"
        violation = FieldViolation(f"identifiers[{outcome.position}]", text)
        raise FailedPrecondition(f"an identifier {text}", violation, reason="ERASED")
    violation = FieldViolation("identifiers", str(outcome))
    raise FailedPrecondition(str(outcome), violation, reason="CLUSTER_GUARD")


async def write_links(graph: Graph, commands: Sequence[LinkCommand]) -> tuple[Linked | RefusedLink, ...]:
    """Carry out links in one transaction, in order; those that are refused change nothing. Raises Unavailable."""
    return await commit(graph, lambda view: plan_links(view, commands, graph.rules, epoch=graph.epoch))


async def unlink(identity: Identity, command: UnlinkCommand) -> tuple[int, ...]:
    """
    Undo one piece of evidence; returns the persons its identifiers belong to now, the one that kept its id first.

    Raises NotFound where there is no such piece (any more), AlreadyExists (CONTENT_CONFLICT) where the request id came
    with other content, and Unavailable.
    """
    graph = identity.graph
    try:
        return await commit(graph, lambda view: plan_unlink(view, command, graph.rules, epoch=graph.epoch))
    except ContentConflictError:
        raise conflict() from None
    except UnknownEvidenceError:
        raise NotFound("there is no such evidence", FieldViolation("evidence_id", "is not known")) from None


def conflict() -> AlreadyExists:
    """Return the error of a request id that came with other content."""
    violation = FieldViolation("request_id", "came before with other content")
    return AlreadyExists("the request id came before with other content", violation)
