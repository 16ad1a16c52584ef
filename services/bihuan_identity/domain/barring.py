"""Identifiers that may not be known again: erased ones, and those of namespaces that were given up."""

from collections.abc import Iterable

from bihuan_identity.domain.graph import KeyedIdentifier
from bihuan_identity.domain.loaded import LoadedGraph


def barred_keys(graph: LoadedGraph, identifiers: Iterable[KeyedIdentifier]) -> set[bytes]:
    """
    Return the keys among unknown identifiers that may not be created.

    The tombstone of an erased one that lies under the previous pepper is carried to the current one, which outlives it.
    """
    unknown = [identifier for identifier in identifiers if graph.node(identifier.key) is None]
    if not unknown:
        return set()
    revoked = graph.view.revoked_namespaces()
    former = [identifier.previous_key for identifier in unknown if identifier.previous_key is not None]
    tombstones = graph.view.tombstones([*(identifier.key for identifier in unknown), *former])
    barred = {identifier.key for identifier in unknown if identifier.namespace in revoked}
    for identifier in unknown:
        if identifier.key in tombstones:
            barred.add(identifier.key)
        elif identifier.previous_key is not None and identifier.previous_key in tombstones:
            barred.add(identifier.key)
            graph.tombstones_carried.append((identifier.previous_key, identifier.key))
    return barred
