"""A person as it is shown: everything that is known of it."""

import sqlalchemy as sa

from bihuan_identity.domain.graph import Node, PersonsChange, PersonView, Piece
from bihuan_identity.graph_queries import SqlGraphView
from bihuan_identity.rows import read_change
from bihuan_identity.schema import CHANGED_PERSONS, CHANGES

_MAX_TIES = 1_000
_MAX_CHANGES = 1_000


def load_person(view: SqlGraphView, connection: sa.Connection, person_id: int) -> PersonView | None:
    """
    Return the person that stands for this id, with its identifiers, evidence, changes and aliases, oldest first.

    Bounded: a person has at most so many identifiers and pieces as the guards allow; of a quarantined identifier's
    evidence the oldest 1,000 pieces are shown, and of the changes the latest 1,000.
    """
    standing = view.alias(person_id)
    row = view.persons([standing]).get(standing)
    nodes = _nodes(view, standing)
    if row is None or not nodes:
        return None
    return PersonView(
        person=row,
        nodes=tuple(sorted(nodes.values(), key=lambda node: (node.first_seen_s, node.key))),
        pieces=_pieces(view, standing, nodes),
        changes=_changes(connection, standing),
        alias_ids=tuple(sorted(alias.alias_id for alias in view.aliases_of([standing]))),
    )


def _nodes(view: SqlGraphView, person_id: int) -> dict[bytes, Node]:
    members = {key: None for piece in view.pieces_of([person_id]) for key in piece.members}
    nodes = {node.key: node for node in view.loose_nodes([person_id])}
    nodes |= {key: node for key, node in view.nodes(list(members)).items() if node.person_id == person_id}
    return nodes


def _pieces(view: SqlGraphView, person_id: int, nodes: dict[bytes, Node]) -> tuple[Piece, ...]:
    pieces = {piece.evidence_id: piece for piece in view.pieces_of([person_id])}
    for node in nodes.values():
        if node.quarantine_time_s is not None:
            pieces.update((piece.evidence_id, piece) for piece in view.pieces_tied(node.key, _MAX_TIES))
    named = (piece for _, piece in sorted(pieces.items()))
    return tuple(piece for piece in named if not nodes.keys().isdisjoint(piece.members))


def _changes(connection: sa.Connection, person_id: int) -> tuple[PersonsChange, ...]:
    query = (
        sa.select(CHANGES)
        .join(CHANGED_PERSONS, CHANGED_PERSONS.c.change_id == CHANGES.c.change_id)
        .where(CHANGED_PERSONS.c.person_id == person_id)
        .order_by(CHANGES.c.change_id.desc())
        .limit(_MAX_CHANGES)
    )
    return tuple(reversed([read_change(row) for row in connection.execute(query)]))
