"""
Made-up persons for look-alike: who belongs follows from coupons and one interest, with noise.

The truth is known, so that a ranking can be judged by it.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bihuan_scoring.domain.facts import OrderFacts, PersonFacts
from bihuan_scoring.lookalike.order import LookAlikeOrder
from bihuan_scoring.lookalike.sampling import Ids
from bihuan_scoring.lookalike.snapshot import snapshot_rows, write_snapshot

AS_OF_US = 1_700_000_000_000_000
CITIES = ("north", "east", "south")


def persons(count: int, seed: int = 3) -> list[PersonFacts]:
    random = np.random.default_rng(seed)
    coupons, tea, coffee = (random.gamma(1.0, 2.0, count) for _ in range(3))
    orders = random.poisson(3.0, count)
    return [
        PersonFacts(
            person_id=n + 1,
            attributes={"city": CITIES[n % 3], "birth_year": 1960.0 + n % 40, "newsletter": n % 2 == 0},
            interests=[("category:tea", float(tea[n]), 0.5), ("category:coffee", float(coffee[n]), 0.0)],
            activities={"coupon": (float(coupons[n]), 0.0, int(coupons[n]) + 1), "view": (2.0, 1.0, 5)},
            segments=frozenset({"loyal"} if n % 5 == 0 else ()),
            orders=OrderFacts(AS_OF_US - n * 60_000_000, int(orders[n]), 5e6, 2e6) if orders[n] else None,
            attribute_times_us={"city": AS_OF_US - 1},
        )
        for n in range(count)
    ]


def belonging(people: Sequence[PersonFacts], seed: int = 4) -> Ids:
    """Ids of those who belong, about one in nine."""
    random = np.random.default_rng(seed)
    logits = np.array([1.2 * p.activities["coupon"][0] + 0.8 * p.interests[0][1] for p in people]) - 6.5
    chosen = random.random(len(people)) < 1.0 / (1.0 + np.exp(-logits))
    return np.array([p.person_id for p, each in zip(people, chosen, strict=True) if each], dtype=np.int64)


def order_for(folder: Path, people: Sequence[PersonFacts], seed_ids: Ids, **changes: object) -> LookAlikeOrder:
    """An order on a snapshot of several files and row groups."""
    paths = []
    for number in range(4):
        path = folder / f"people-{number}.parquet"
        part = people[number * len(people) // 4 : (number + 1) * len(people) // 4]
        write_snapshot(path, [snapshot_rows(part)])
        paths.append(path)
    return LookAlikeOrder(tuple(paths), seed_ids, AS_OF_US, **({"target_size": 200} | changes))  # type: ignore[arg-type]
