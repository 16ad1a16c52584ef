"""Carrying out a plan: commit it to the truth, then bring the index and this process's memory up to it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import structlog

from bihuan_identity.domain.graph import Attachment, GraphChange, GraphView
from bihuan_identity.domain.linking import LinkCommand, RefusedLink
from bihuan_identity.domain.resolving import Item, Resolution
from bihuan_identity.domain.seen_together import SeenTogether
from bihuan_identity.domain.standing import StandingPersons
from bihuan_identity.domain.working import Linked, Rules
from bihuan_identity.use_cases.ports import GraphStore, IdentifierIndex
from bihuan_shared.errors import Unavailable
from bihuan_shared.failpoints import failpoint

T = TypeVar("T")

_FOLLOW_PAGE = 10_000
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Graph:
    """The truth, the index over it, what may be believed of the index, and the rules. `epoch` is that of new keys."""

    store: GraphStore
    index: IdentifierIndex
    standing: StandingPersons
    rules: Rules
    epoch: int


@dataclass(frozen=True, slots=True)
class Identity:
    """What the use cases work with. `write_items` and `write_links` commit those of concurrent calls together."""

    graph: Graph
    write_items: Callable[[Sequence[Item]], Awaitable[Sequence[Resolution]]]
    write_links: Callable[[Sequence[LinkCommand]], Awaitable[Sequence[Linked | RefusedLink]]]
    seen_together: SeenTogether


async def commit(graph: Graph, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
    """
    Carry out a plan; returns its second part once it is committed.

    What comes after the commit may fail or never happen: an index entry that it would have replaced is not believed,
    because the person it names has been absorbed or erased or is of another generation. Raises Unavailable, and what
    the plan raises.
    """
    # A caller that goes away must not keep this process from learning what it has just committed.
    return await asyncio.shield(asyncio.ensure_future(_commit(graph, plan)))


async def _commit(graph: Graph, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
    def run(view: GraphView) -> tuple[GraphChange | None, tuple[GraphChange | None, T]]:
        change, result = plan(view)
        return change, (change, result)

    change, result = await graph.store.change(run)
    if change is not None:
        graph.standing.doubt(change.changes)
        await put_entries(graph.index, change.attachments or {})
        failpoint("between_index_writes")
        await remove_entries(graph.index, change.gone_nodes)
        if change.changes:
            await _follow_at_once(graph)
    return result


async def follow_changes(graph: Graph) -> None:
    """Learn of every change of persons that any process has committed. Raises Unavailable."""
    while True:
        page = await graph.store.changes_after(graph.standing.last_change_id, _FOLLOW_PAGE)
        # Two calls may have read the same page; what the other has followed meanwhile is left out.
        graph.standing.follow([change for change in page if change.change_id > graph.standing.last_change_id])
        if len(page) < _FOLLOW_PAGE:
            return


async def put_entries(index: IdentifierIndex, entries: Mapping[bytes, Attachment]) -> None:
    """Index these keys as far as the index answers; what it lacks is read from the truth."""
    if not entries:
        return
    failpoint("before_index")
    try:
        await index.put(entries)
    except Unavailable as error:
        _log.warning("index_unavailable", operation="put", detail=error.detail)


async def remove_entries(index: IdentifierIndex, keys: Sequence[bytes]) -> None:
    """Forget these keys as far as the index answers; entries that stay are not believed."""
    if not keys:
        return
    try:
        await index.remove(keys)
    except Unavailable as error:
        _log.warning("index_unavailable", operation="remove", detail=error.detail)


async def _follow_at_once(graph: Graph) -> None:
    try:
        await follow_changes(graph)
    except Unavailable as error:
        # The change is committed all the same; its persons stay in doubt until it was followed.
        _log.warning("changes_not_followed", detail=error.detail)
