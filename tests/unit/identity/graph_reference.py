"""What the graph should be, by other means: evidence as sets of names, and its components by repeated joining."""

from collections.abc import Iterable
from dataclasses import dataclass, field


@dataclass
class Reference:
    """The evidence that there is; nothing here is of the code under test."""

    pieces: dict[int, set[str]] = field(default_factory=dict)
    last_seen_s: dict[int, int] = field(default_factory=dict)
    names: set[str] = field(default_factory=set)
    erased: set[str] = field(default_factory=set)

    def degree(self, name: str) -> int:
        return len({other for piece in self.pieces.values() if name in piece for other in piece} - {name})

    def components(self, held: set[str]) -> set[frozenset[str]]:
        groups = [{name} for name in self.names]
        for piece in self.pieces.values():
            merging = piece - held
            joined = [group for group in groups if group & merging]
            groups = [group for group in groups if not group & merging]
            if joined:
                groups.append(set().union(*joined))
        return {frozenset(group) for group in groups}

    def strip(self, piece_id: int, names: Iterable[str]) -> None:
        self.pieces[piece_id] = self.pieces[piece_id] - set(names)
        if len(self.pieces[piece_id]) < 2:
            del self.pieces[piece_id]

    def forget(self, names: set[str]) -> None:
        for piece_id in list(self.pieces):
            self.strip(piece_id, names)
        self.names -= names
