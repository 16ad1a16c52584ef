"""What identity does, one function per RPC, in terms of ports."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import structlog

from bihuan_identity.domain.absorbed import AbsorbedPersons
from bihuan_identity.domain.graph import Attachment, GraphChange, GraphView, LinkOutcome, PersonView
from bihuan_identity.domain.linking import ContentConflictError, GuardRefusedError, LinkCommand, plan_link
from bihuan_identity.domain.resolving import Item, Resolution, answer, needs_writing, plan_resolve
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, FieldViolation, NotFound, Unavailable

T = TypeVar("T")

MAX_PERSON_ID = 2**44 - 1
"""Ids above it cannot have been handed out (the index keeps ids in 44 bits)."""

_ABSORBED_PAGE = 10_000
_log = structlog.get_logger(__name__)


class GraphStore(Protocol):
    """The truth. Every method raises Unavailable where the store does not answer."""

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return where each known key belongs, in one query; unknown keys are left out."""

    async def change(self, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
        """
        Carry out one plan: show it the graph, apply its change whole, commit, then return its second part.

        Nobody else changes the graph between what the plan reads and the commit. The plan may run more than once, and
        what it raises passes through with nothing changed.
        """

    async def person(self, person_id: int) -> PersonView | None:
        """Return the person that stands for this id now, aliases followed; None where it was never created."""

    async def absorbed_after(self, merge_id: int, limit: int) -> Sequence[tuple[int, int]]:
        """Return up to `limit` pairs (merge id, absorbed person id) above `merge_id`, ascending."""


class IdentifierIndex(Protocol):
    """A fast copy of the truth. It may be empty, late or away; every method raises Unavailable when it is away."""

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        """Return what is indexed of these keys."""

    async def put(self, entries: Mapping[bytes, Attachment]) -> None:
        """Index these keys, in place of what is there."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What the functions below work with. `write` commits items of concurrent calls together."""

    store: GraphStore
    index: IdentifierIndex
    absorbed: AbsorbedPersons
    write: Callable[[Sequence[Item]], Awaitable[Sequence[Resolution]]]
    max_cluster_size: int


async def batch_resolve(identity: Identity, items: Sequence[Item]) -> list[Resolution]:
    """
    Resolve items, in order; those with `create` leave nobody unknown.

    One round trip to the index, one query for what it lacks, and one commit (shared with concurrent calls) where
    something is new. Raises Unavailable where the truth is needed and does not answer.
    """
    known = await _look_up(identity, items)
    resolutions = [answer(item, known) for item in items]
    new = [at for at, item in enumerate(items) if needs_writing(item, known, resolutions[at])]
    if new:
        written = await identity.write([items[at] for at in new])
        for at, resolution in zip(new, written, strict=True):
            resolutions[at] = resolution
    return resolutions


async def write_items(
    store: GraphStore, index: IdentifierIndex, items: Sequence[Item], *, max_cluster_size: int
) -> tuple[Resolution, ...]:
    """Create and attach what is new in these items, in one transaction, then bring the index up to it."""

    def plan(view: GraphView) -> tuple[GraphChange, tuple[dict[bytes, Attachment], tuple[Resolution, ...]]]:
        change, resolutions = plan_resolve(view, items, max_cluster_size=max_cluster_size)
        return change, (change.attachments(), resolutions)

    entries, resolutions = await store.change(plan)
    await _index(index, entries)
    return resolutions


async def link(identity: Identity, command: LinkCommand) -> LinkOutcome:
    """
    Tie identifiers together, merging the persons that this connects; a repeat is answered as the first time.

    Raises AlreadyExists (CONTENT_CONFLICT) where the request id came with other content, FailedPrecondition
    (CLUSTER_GUARD) where a guard refuses, with nothing changed, and Unavailable.
    """

    def plan(view: GraphView) -> tuple[GraphChange | None, tuple[dict[bytes, Attachment], LinkOutcome]]:
        change, outcome = plan_link(view, command, max_cluster_size=identity.max_cluster_size)
        return change, ({} if change is None else change.attachments(), outcome)

    try:
        entries, outcome = await identity.store.change(plan)
    except ContentConflictError:
        violation = FieldViolation("request_id", "came before with other content")
        raise AlreadyExists("the request id came before with other content", violation) from None
    except GuardRefusedError as refusal:
        violation = FieldViolation("identifiers", str(refusal))
        raise FailedPrecondition(str(refusal), violation, reason="CLUSTER_GUARD") from None
    identity.absorbed.add(outcome.merged_person_ids)
    await _index(identity.index, entries)
    return outcome


async def get_person(identity: Identity, person_id: int) -> PersonView:
    """Show the person that an id stands for now, aliases followed. Raises NotFound and Unavailable."""
    view = await identity.store.person(person_id) if 0 < person_id <= MAX_PERSON_ID else None
    if view is None:
        raise NotFound("there is no such person", FieldViolation("person.person_id", "is not known"))
    return view


async def follow_merges(identity: Identity) -> None:
    """Learn of every merge that any process has committed; index entries of absorbed persons are void from here on."""
    while True:
        page = await identity.store.absorbed_after(identity.absorbed.last_merge_id, _ABSORBED_PAGE)
        identity.absorbed.follow(page)
        if len(page) < _ABSORBED_PAGE:
            return


async def _look_up(identity: Identity, items: Sequence[Item]) -> dict[bytes, Attachment]:
    keys = list({identifier.key: None for item in items for identifier in item.identifiers})
    try:
        indexed = await identity.index.get(keys)
    except Unavailable as error:
        _log.warning("index_unavailable", operation="get", detail=error.detail)
        return dict(await identity.store.find(keys))
    known = {key: found for key, found in indexed.items() if found.person_id not in identity.absorbed}
    missing = [key for key in keys if key not in known]
    if missing:
        found = await identity.store.find(missing)
        known.update(found)
        await _index(identity.index, found)
    return known


async def _index(index: IdentifierIndex, entries: Mapping[bytes, Attachment]) -> None:
    if not entries:
        return
    try:
        await index.put(entries)
    except Unavailable as error:
        # The truth is committed, and what the index lacks or holds of absorbed persons is read from there.
        _log.warning("index_unavailable", operation="put", detail=error.detail)
