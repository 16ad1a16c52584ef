"""In-memory doubles of identity's ports; they pass the contract suites of the real ones."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import TypeVar

from bihuan_identity.domain.graph import (
    Attachment,
    Counters,
    Evidence,
    GraphChange,
    GraphView,
    IdentifierRow,
    LinkRecord,
    Merge,
    Person,
    PersonView,
)
from bihuan_shared.errors import Unavailable

T = TypeVar("T")


class MemoryGraphView:
    """The graph in dictionaries, as a plan sees it."""

    def __init__(self) -> None:
        self.next = Counters()
        self.rows: dict[bytes, IdentifierRow] = {}
        self.persons: dict[int, Person] = {}
        self.pieces: list[Evidence] = []
        self.merges: list[Merge] = []
        self.aliases: dict[int, int] = {}
        self.requests: dict[tuple[str, str], LinkRecord] = {}

    def counters(self) -> Counters:
        return self.next

    def attachments(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        return {key: self.rows[key].attachment for key in keys if key in self.rows}

    def neighbours(self, keys: Sequence[bytes]) -> Mapping[bytes, AbstractSet[bytes]]:
        near: defaultdict[bytes, set[bytes]] = defaultdict(set)
        for piece in self.pieces:
            for key in set(keys) & set(piece.members):
                near[key] |= set(piece.members) - {key}
        return near

    def members(self, person_ids: Sequence[int]) -> Mapping[bytes, Attachment]:
        return {key: row.attachment for key, row in self.rows.items() if row.attachment.person_id in person_ids}

    def sizes(self, person_ids: Sequence[int]) -> Mapping[int, int]:
        sizes: defaultdict[int, int] = defaultdict(int)
        for attachment in self.members(person_ids).values():
            sizes[attachment.person_id] += 1
        return sizes

    def evidence(self, keys: Sequence[bytes]) -> Sequence[Evidence]:
        return [piece for piece in self.pieces if set(piece.members) & set(keys)]

    def founder(self, person_id: int) -> bytes:
        return self.persons[person_id].founder

    def request(self, caller: str, request_id: str) -> LinkRecord | None:
        return self.requests.get((caller, request_id))

    def apply(self, change: GraphChange) -> None:
        self.next = change.counters
        self.persons.update((person.person_id, person) for person in change.persons)
        for row in change.identifiers:
            assert row.key not in self.rows, "an identifier is unique"
            self.rows[row.key] = row
        for key, attachment in change.moves:
            row = self.rows[key]
            self.rows[key] = IdentifierRow(key, row.namespace, attachment, row.first_seen_time_us)
        self.pieces.extend(change.evidence)
        self.merges.extend(change.merges)
        for merge in change.merges:
            for alias, person_id in self.aliases.items():
                if person_id == merge.absorbed_id:
                    self.aliases[alias] = merge.survivor_id
            self.aliases[merge.absorbed_id] = merge.survivor_id
        if change.request is not None:
            self.requests[change.request.caller, change.request.request_id] = change.request


class MemoryGraphStore:
    """A graph store without a disk."""

    def __init__(self) -> None:
        self.graph = MemoryGraphView()
        self.find_calls = 0

    async def find(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        self.find_calls += 1
        return self.graph.attachments(keys)

    async def change(self, plan: Callable[[GraphView], tuple[GraphChange | None, T]]) -> T:
        change, result = plan(self.graph)
        if change is not None:
            self.graph.apply(change)
        return result

    async def person(self, person_id: int) -> PersonView | None:
        survivor = self.graph.aliases.get(person_id, person_id)
        if survivor not in self.graph.persons:
            return None
        rows = [row for row in self.graph.rows.values() if row.attachment.person_id == survivor]
        return PersonView(
            person=self.graph.persons[survivor],
            identifiers=tuple(sorted(rows, key=lambda row: (row.first_seen_time_us, row.key))),
            evidence=tuple(self.graph.evidence([row.key for row in rows])),
            merges=tuple(merge for merge in self.graph.merges if merge.survivor_id == survivor),
            alias_ids=tuple(sorted(alias for alias, person in self.graph.aliases.items() if person == survivor)),
        )

    async def absorbed_after(self, merge_id: int, limit: int) -> Sequence[tuple[int, int]]:
        later = [merge for merge in self.graph.merges if merge.merge_id > merge_id]
        return [(merge.merge_id, merge.absorbed_id) for merge in later[:limit]]


class MemoryIdentifierIndex:
    """An index without a network; `away` makes it fail like a lost one."""

    def __init__(self) -> None:
        self.entries: dict[bytes, Attachment] = {}
        self.away = False
        self.get_calls = 0

    async def get(self, keys: Sequence[bytes]) -> Mapping[bytes, Attachment]:
        self.get_calls += 1
        self._check()
        return {key: self.entries[key] for key in keys if key in self.entries}

    async def put(self, entries: Mapping[bytes, Attachment]) -> None:
        self._check()
        self.entries.update(entries)

    async def close(self) -> None:
        self._check()

    def _check(self) -> None:
        if self.away:
            raise Unavailable("the index is away")
