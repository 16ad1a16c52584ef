"""
MovieLens 100K as profiles: users, what they rated, and who loves a genre.

A lover of a genre is one of the LOVERS users who gave four stars or more to the most films of it. Features are from
films of other genres only: each is a view and, with four stars or more, a favourite; its genres and its decade are
interests, as is the film itself. Nothing of a film that is of the genre counts, not even that it was seen.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.facts import PersonFacts

GENRES = ("Sci-Fi", "Romance", "Crime", "Children's", "Musical")
LOVERS = 150
LIKED = 4.0
AS_OF_US = 893_289_600_000_000
"""After the last rating."""


@dataclass(frozen=True, slots=True, eq=False)
class Lovers:
    """All users by id, the lovers among them, and how many films of other genres each rated."""

    persons: Sequence[PersonFacts]
    seed_ids: frozenset[int]
    activity: npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class MovieLens:
    """Ratings (user, film, stars), genres and decade of each film, and what users told about themselves."""

    ratings: Sequence[tuple[int, int, float]]
    genres: Mapping[int, tuple[str, ...]]
    decades: Mapping[int, str]
    users: Mapping[int, Mapping[str, str | float]]


def read_movielens(folder: Path) -> MovieLens:
    """The set as it was fetched."""
    files = folder / "recbole" / "dataset_example" / "ml-100k"

    def rows(part: str) -> list[list[str]]:
        lines = (files / f"ml-100k.{part}").read_text(encoding="latin-1").splitlines()[1:]
        return [line.split("\t") for line in lines]

    films = rows("item")
    return MovieLens(
        ratings=[(int(user), int(film), float(stars)) for user, film, stars, _ in rows("inter")],
        genres={int(row[0]): tuple(row[3].split()) for row in films},
        decades={int(row[0]): row[2][:3] + "0" for row in films},
        users={
            int(user): {"age": float(age), "gender": gender, "occupation": occupation}
            for user, age, gender, occupation, _ in rows("user")
        },
    )


def lovers_of(data: MovieLens, genre: str, *, leaking: bool = False) -> Lovers:
    """Users and lovers of a genre; with `leaking`, films of the genre count too, which nobody may train on."""
    loved: Counter[int] = Counter()
    seen: Counter[int] = Counter()
    liked: Counter[int] = Counter()
    weights: defaultdict[int, Counter[str]] = defaultdict(Counter)
    for user, film, stars in data.ratings:
        likes = stars >= LIKED
        if genre in data.genres[film]:
            loved[user] += likes
            if not leaking:
                continue
        seen[user] += 1
        liked[user] += likes
        for tag in (*(f"genre:{each}" for each in data.genres[film]), f"decade:{data.decades[film]}"):
            weights[user][tag] += 1 if likes else 0
        weights[user][f"film:{film}"] += 1
    users = sorted(data.users)
    # Who is at the edge is decided by the user's id, which says nothing.
    best = sorted(users, key=lambda user: (-loved[user], user))[:LOVERS]
    persons = [
        PersonFacts(
            user,
            data.users[user],
            [(tag, float(weight), 0.0) for tag, weight in sorted(weights[user].items())],
            {
                "view": (float(seen[user]), 0.0, seen[user]),
                "favourite": (float(liked[user]), 0.0, liked[user]),
            },
        )
        for user in users
    ]
    return Lovers(persons, frozenset(best), np.array([float(seen[user]) for user in users]))
