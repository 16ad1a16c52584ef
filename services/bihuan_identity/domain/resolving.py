"""How identifiers are resolved: what is answered for known ones, and what is written for new ones."""

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from bihuan_identity.domain.barring import barred_keys
from bihuan_identity.domain.graph import (
    CERTAIN_PPM,
    SIGHTING_BYTES,
    Attachment,
    Claim,
    EvidenceKind,
    GraphChange,
    GraphView,
    KeyedIdentifier,
)
from bihuan_identity.domain.loaded import LoadedGraph
from bihuan_identity.domain.regrouping import GuardRefusedError
from bihuan_identity.domain.working import Rules, create, tie_together
from bihuan_shared.clock import SECOND_US

RESOLVE_SOURCE: Final = "resolve"
"""The source of evidence that comes from seeing identifiers together in one request."""

_SEEN_TOGETHER = Claim(EvidenceKind.DETERMINISTIC, RESOLVE_SOURCE, CERTAIN_PPM, None)


@dataclass(frozen=True, slots=True)
class Item:
    """
    One set of identifiers (distinct, at least one) to resolve, seen at `time_us`.

    `refresh`: that they were seen together is to be recorded even where all of them are known to be of one person.
    """

    identifiers: tuple[KeyedIdentifier, ...]
    create: bool
    time_us: int
    refresh: bool = False


@dataclass(frozen=True, slots=True)
class Resolution:
    """The person behind an item, and the sighting that led there; `person_id` None means that nobody is known."""

    person_id: int | None
    confidence_ppm: int = 0
    created: bool = False
    ambiguous: bool = False
    sighting_id: int = 0


NOBODY = Resolution(None)


def answer(item: Item, known: Mapping[bytes, Attachment]) -> Resolution:
    """
    Answer from what is known, without changing anything.

    Where the identifiers point to several persons the oldest (smallest id) is answered as ambiguous. The confidence is
    that of the weakest identifier that points to the answered person, and never above its namespace's trust. A
    quarantined identifier (confidence 0) counts only where no other is known.
    """
    person_id: int | None = None
    confidence_ppm = CERTAIN_PPM
    ambiguous = False
    sighting = b""
    for identifier in item.identifiers:
        attachment = known.get(identifier.key)
        if attachment is None or (person_id is not None and not attachment.confidence_ppm):
            continue
        if person_id is not None and attachment.person_id != person_id:
            if confidence_ppm:
                ambiguous = True
                if attachment.person_id > person_id:
                    continue
            confidence_ppm, sighting = CERTAIN_PPM, b""
        person_id = attachment.person_id
        confidence_ppm = min(confidence_ppm, attachment.confidence_ppm, identifier.trust_ppm)
        sighting = sighting or identifier.key
    if person_id is None:
        return NOBODY
    return Resolution(
        person_id, confidence_ppm, ambiguous=ambiguous, sighting_id=int.from_bytes(sighting[:SIGHTING_BYTES], "big")
    )


def needs_writing(item: Item, known: Mapping[bytes, Attachment], resolution: Resolution) -> bool:
    """Tell whether an item has identifiers that are to be created or attached."""
    if not item.create or resolution.ambiguous:
        return False
    return any(identifier.key not in known for identifier in item.identifiers)


def confirms(item: Item, known: Mapping[bytes, Attachment], resolution: Resolution) -> bool:
    """Tell whether an item shows once more that several identifiers are of the one person they are known to be of."""
    if not item.create or resolution.ambiguous or len(item.identifiers) == 1:
        return False
    return all(identifier.key in known and known[identifier.key].confidence_ppm for identifier in item.identifiers)


def plan_resolve(
    view: GraphView, items: Sequence[Item], rules: Rules, *, epoch: int
) -> tuple[GraphChange, tuple[Resolution, ...]]:
    """
    Resolve items in order and plan what is to be written; an item sees what earlier items create.

    An item of which nothing is known becomes a person. New identifiers beside known ones of one person attach to that
    person by deterministic evidence with the best known of them, except where a guard forbids it: then the known person
    is answered and the new identifiers stay unknown. Nothing attaches through a quarantined identifier. Ambiguous items
    change nothing, erased and revoked identifiers are not created, and one known under the previous pepper is re-keyed.
    """
    graph = LoadedGraph(view, time_s=0, epoch=epoch)
    identifiers = list({identifier.key: identifier for item in items for identifier in item.identifiers}.values())
    graph.load_identifiers(identifiers)
    barred = barred_keys(graph, identifiers)
    resolutions = []
    for item in items:
        graph.time_s = item.time_us // SECOND_US
        known = _known(graph, item)
        resolution = answer(item, known)
        if needs_writing(item, known, resolution):
            resolution = _write(graph, rules, item, resolution, barred)
        elif item.refresh and confirms(item, known, resolution):
            with suppress(GuardRefusedError):
                tie_together(graph, rules, item.identifiers, _SEEN_TOGETHER)
        resolutions.append(resolution)
    return graph.difference(), tuple(resolutions)


def _known(graph: LoadedGraph, item: Item) -> dict[bytes, Attachment]:
    nodes = (graph.node(identifier.key) for identifier in item.identifiers)
    return {node.key: Attachment(node.person_id, node.confidence_ppm) for node in nodes if node is not None}


def _write(
    graph: LoadedGraph, rules: Rules, item: Item, resolution: Resolution, barred: AbstractSet[bytes]
) -> Resolution:
    fresh = [
        identifier
        for identifier in item.identifiers
        if graph.node(identifier.key) is None and identifier.key not in barred
    ]
    if not fresh:
        return resolution
    known = _known(graph, item)
    anchors = [identifier for identifier in item.identifiers if identifier.key in known]
    best = max(anchors, key=lambda identifier: known[identifier.key].confidence_ppm, default=None)
    if best is None or not known[best.key].confidence_ppm:
        return _create(graph, rules, item, fresh)
    try:
        tie_together(graph, rules, [best, *fresh], _SEEN_TOGETHER)
    except GuardRefusedError:
        return resolution
    return answer(item, _known(graph, item))


def _create(graph: LoadedGraph, rules: Rules, item: Item, fresh: Sequence[KeyedIdentifier]) -> Resolution:
    if any(len(fresh) > identifier.max_degree + 1 for identifier in fresh):
        tie_together(graph, rules, fresh, _SEEN_TOGETHER)
        return answer(item, _known(graph, item))
    person_id = create(graph, fresh, _SEEN_TOGETHER)
    return Resolution(
        person_id,
        min(identifier.trust_ppm for identifier in fresh),
        created=True,
        sighting_id=int.from_bytes(fresh[0].key[:SIGHTING_BYTES], "big"),
    )
