"""From links to persons: connected components, and the choice of links where nobody occurs twice in a file."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, order=True)
class Candidate:
    """Two records, by number, and the probability that they are of one person. `first` < `second`."""

    first: int
    second: int
    probability: float


def clusters_of(record_count: int, links: Iterable[Candidate]) -> list[int]:
    """For every record the smallest number among the records that links connect it to, itself included."""
    root = list(range(record_count))

    def find(at: int) -> int:
        while root[at] != at:
            root[at] = root[root[at]]
            at = root[at]
        return at

    for link in links:
        low, high = sorted((find(link.first), find(link.second)))
        root[high] = low
    return [find(at) for at in range(record_count)]


def one_to_one(links: Iterable[Candidate], sources: Sequence[int]) -> list[Candidate]:
    """
    Keep the best links such that no record has two in the same other file: the likeliest first, ties by number.

    `sources` tells the file of every record. For files in which nobody occurs twice.
    """
    taken: set[tuple[int, int]] = set()
    kept = []
    for link in sorted(links, key=lambda link: (-link.probability, link.first, link.second)):
        ends = {(link.first, sources[link.second]), (link.second, sources[link.first])}
        if not ends & taken:
            taken |= ends
            kept.append(link)
    return kept
