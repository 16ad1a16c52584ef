"""Resolving: from identifiers to persons."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import structlog

from bihuan_identity.domain.graph import Attachment, KeyedIdentifier
from bihuan_identity.domain.resolving import Item, Resolution, answer, confirms, needs_writing, plan_resolve
from bihuan_identity.use_cases.committing import Graph, Identity, commit, put_entries
from bihuan_shared.errors import Unavailable

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Found:
    """Where known identifiers belong, by their current key, and which of them are kept under the previous pepper."""

    known: Mapping[bytes, Attachment]
    former: frozenset[bytes]


async def batch_resolve(identity: Identity, items: Sequence[Item]) -> list[Resolution]:
    """
    Resolve items, in order; those with `create` leave nobody unknown.

    One round trip to the index, one query for what it lacks, and one commit (shared with concurrent calls) where
    something is new, or where known identifiers were not seen together for a day. Raises Unavailable where the truth
    is needed and does not answer.
    """
    found = await look_up(identity.graph, [identifier for item in items for identifier in item.identifiers])
    known, former = found.known, found.former
    resolutions = [answer(item, known) for item in items]
    new: dict[int, Item] = {}
    for at, item in enumerate(items):
        if needs_writing(item, known, resolutions[at]) or (former and _is_former(item, former)):
            new[at] = item
            identity.seen_together.is_news(item)
        elif confirms(item, known, resolutions[at]) and identity.seen_together.is_news(item):
            new[at] = replace(item, refresh=True)
    if new:
        written = await identity.write_items(list(new.values()))
        for at, resolution in zip(new, written, strict=True):
            resolutions[at] = resolution
    return resolutions


def _is_former(item: Item, former: frozenset[bytes]) -> bool:
    return any(identifier.key in former for identifier in item.identifiers)


async def write_items(graph: Graph, items: Sequence[Item]) -> tuple[Resolution, ...]:
    """Create, attach and re-key what is new in these items, in one transaction, then bring the index up to it."""
    return await commit(graph, lambda view: plan_resolve(view, items, graph.rules, epoch=graph.epoch))


async def look_up(graph: Graph, identifiers: Iterable[KeyedIdentifier]) -> Found:
    """
    Find where identifiers belong, without changing anything: one round trip to the index, one query for what it lacks.

    Each is looked up under its current key, then under the previous. Raises Unavailable where the index lacks something
    and the truth does not answer.
    """
    wanted = {identifier.key: identifier.previous_key for identifier in identifiers}
    former = {previous: key for key, previous in wanted.items() if previous is not None}
    keys = [*wanted, *former] if former else list(wanted)
    try:
        indexed = await graph.index.get(keys)
    except Unavailable as error:
        _log.warning("index_unavailable", operation="get", detail=error.detail)
        found = dict(await graph.store.find(keys))
    else:
        believes = graph.standing.believes
        found = {key: entry for key, entry in indexed.items() if believes(entry)}
        missing = _missing(found, wanted)
        if missing:
            read = await graph.store.find(missing)
            found.update(read)
            await put_entries(graph.index, read)
    if not former:
        return Found(found, frozenset())
    return _under_current_keys(found, wanted)


def _missing(found: Mapping[bytes, Attachment], wanted: Mapping[bytes, bytes | None]) -> list[bytes]:
    # One that the index has under its previous key only may have been re-keyed since, and the current one was not put.
    missing = [key for key in wanted if key not in found]
    former = (wanted[key] for key in missing)
    return missing + [previous for previous in former if previous is not None and previous not in found]


def _under_current_keys(found: Mapping[bytes, Attachment], wanted: Mapping[bytes, bytes | None]) -> Found:
    known = {key: found[key] for key in wanted if key in found}
    former = {
        key: found[previous]
        for key, previous in wanted.items()
        if key not in found and previous is not None and previous in found
    }
    return Found(known | former, frozenset(former))
