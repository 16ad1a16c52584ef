"""Brings a loaded graph to a new grouping, and says what the rest of the platform has to know of it."""

from collections.abc import Collection, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from bihuan_identity.domain.graph import MAX_GENERATION, Node, Part, PersonRow, PersonsChange
from bihuan_identity.domain.loaded import LoadedGraph
from bihuan_identity.domain.partition import connected, merging_members
from bihuan_identity.domain.regrouping import Grouped, Grouping, Region


def apply(
    graph: LoadedGraph, region: Region, grouping: Grouping, *, evidence_id: int, shaken: AbstractSet[int] = frozenset()
) -> None:
    """
    Put every node, piece, person and alias of a region where the grouping has it.

    Persons of `shaken` lost nodes that are no longer in the region. Where identifiers that were somewhere before are
    elsewhere now, or less or more sure, the change is published; additions to a person are not. Persons that have no
    identifier in common, before and after, are changes of their own: whoever follows takes those of one for the same.
    """
    shaken = shaken | _place_nodes(graph, region, grouping)
    for piece in region.pieces:
        anchor = next(iter(merging_members(piece, region.quarantined)), piece.members[0])
        node = graph.node(anchor)
        assert node is not None
        if node.person_id != piece.person_id:
            graph.put_piece(replace(piece, person_id=node.person_id))
    generations = _place_ids(graph, region, grouping, shaken)
    for change in _changes(graph, region, grouping, generations):
        graph.publish(evidence_id, change)


def _place_nodes(graph: LoadedGraph, region: Region, grouping: Grouping) -> set[int]:
    """Return the persons that gave up or re-rated a node."""
    tied = {key for piece in region.pieces for key in piece.members}
    shaken: set[int] = set()
    for person in grouping.persons:
        if person.created:
            person_id = graph.take_person_id()
            assert person_id == person.person_id
            graph.put_person(PersonRow(person_id, graph.time_s, person.anchor))
        for key, confidence_ppm in person.confidences.items():
            before = region.nodes[key]
            quarantined = key in region.quarantined
            node = _placed(before, person.person_id, confidence_ppm, tied, graph.time_s if quarantined else None)
            if node != before:
                graph.put_node(node)
            if before.person_id and (before.person_id, before.confidence_ppm) != (node.person_id, node.confidence_ppm):
                shaken.add(before.person_id)
    return shaken


def _placed(
    before: Node, person_id: int, confidence_ppm: int, tied: AbstractSet[bytes], quarantine_time_s: int | None
) -> Node:
    if quarantine_time_s is None:
        return replace(
            before,
            person_id=person_id,
            confidence_ppm=confidence_ppm,
            quarantine_time_s=None,
            loose=before.key not in tied,
        )
    # It names nobody in particular, so it is believed only where nothing else is known.
    since_s = before.quarantine_time_s or quarantine_time_s
    return replace(before, person_id=person_id, confidence_ppm=0, quarantine_time_s=since_s, loose=True)


def _place_ids(
    graph: LoadedGraph, region: Region, grouping: Grouping, shaken: AbstractSet[int]
) -> tuple[tuple[int, int], ...]:
    """Bring aliases up to date; return the persons whose older index entries are void, with their new generation."""
    for alias in grouping.aliases:
        graph.put_alias(alias)
    restored = {alias.alias_id for alias in region.aliases} & {person.person_id for person in grouping.persons}
    for alias_id in restored:
        graph.drop_alias(alias_id)
    generations = []
    for person in grouping.persons:
        row = replace(graph.person(person.person_id), anchor=person.anchor)
        if not person.created and (person.person_id in restored or person.person_id in shaken):
            row = replace(row, generation=min(row.generation + 1, MAX_GENERATION))
            generations.append((row.person_id, row.generation))
        graph.put_person(row)
    standing = {person.person_id for person in grouping.persons} | {alias.alias_id for alias in grouping.aliases}
    for person_id in sorted(region.anchors.keys() - standing):
        # Nobody stands for it, and only its row tells a process that starts later.
        row = graph.person(person_id)
        row = replace(row, generation=min(row.generation + 1, MAX_GENERATION))
        generations.append((row.person_id, row.generation))
        graph.put_person(row)
    return tuple(generations)


def _changes(
    graph: LoadedGraph, region: Region, grouping: Grouping, generations: Sequence[tuple[int, int]]
) -> list[PersonsChange]:
    """Return what has to be published, a change for every circle of persons that gave identifiers to one another."""
    persons = {person.person_id: person for person in grouping.persons}
    shared = [
        [person.person_id, *({region.nodes[key].person_id for key in person.confidences} - {0, person.person_id})]
        for person in grouping.persons
    ]
    changes = []
    for circle in connected(sorted({*region.anchors, *persons}), shared):
        before = [person_id for person_id in circle if person_id in region.anchors]
        parts = [persons[person_id] for person_id in circle if person_id in persons]
        void = tuple(pair for pair in generations if pair[0] in circle)
        if void or not persons.keys() >= set(before):
            moved = _moved_whole(region, before, parts) if len(parts) > 1 else {}
            split = tuple(person_id for person_id in before if person_id not in moved)
            changes.append(PersonsChange(0, 0, 0, split, _parts(graph, region, parts, moved), void))
            changes.extend(PersonsChange(0, 0, 0, (one,), (Part(into),)) for one, into in moved.items())
    return changes


def _moved_whole(region: Region, before: Sequence[int], parts: Sequence[Grouped]) -> dict[int, int]:
    """
    Return the persons that went as a whole into one of several parts, each with that one.

    They are merges of their own, after the split: of a split alone nobody could tell what became of their ids.
    """
    into: dict[int, set[int]] = {}
    for part in parts:
        for key in part.confidences:
            into.setdefault(region.nodes[key].person_id, set()).add(part.person_id)
    standing = {part.person_id for part in parts}
    return {one: min(into[one]) for one in before if one not in standing and len(into.get(one, ())) == 1}


def _parts(graph: LoadedGraph, region: Region, parts: Sequence[Grouped], moved: Collection[int]) -> tuple[Part, ...]:
    if len(parts) == 1:
        return (Part(parts[0].person_id),)
    return tuple(
        Part(
            part.person_id,
            _sightings(graph, [key for key in part.confidences if region.nodes[key].person_id not in moved]),
        )
        for part in parts
    )


def _sightings(graph: LoadedGraph, keys: Sequence[bytes]) -> tuple[int, ...]:
    nodes = (graph.node(key) for key in keys)
    return tuple(sorted(handle for node in nodes if node is not None for handle in node.sightings()))
