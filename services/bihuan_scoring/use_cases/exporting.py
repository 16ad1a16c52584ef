"""An audience as the person tokens of one partner: who may be told for a purpose, in an order without meaning."""

import asyncio
from collections.abc import AsyncIterator, Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from bihuan_scoring.domain.audiences import MemberSet
from bihuan_scoring.domain.reach import FLOOR, STEP
from bihuan_scoring.use_cases.audiences import Audiences
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.person_tokens import PersonTokens

BATCH: Final = 1_000
"""Members that are asked about, and tokens that are sent, at a time."""


class Permissions(Protocol):
    """Profile, as it knows what persons agreed to."""

    async def permitted(self, person_ids: Sequence[int], purpose: int) -> Collection[int]:
        """Those of at most 1,000 persons of whom something may be used for a purpose now. Raises Unavailable."""
        ...


@dataclass(frozen=True, slots=True)
class Part:
    """Tokens of some members; `left_out_count` is not None in the last part only, and rounded up to ten."""

    tokens: Sequence[str]
    sent_count: int = 0
    left_out_count: int | None = None


class Exporter:
    """Turns members into tokens, batch by batch."""

    def __init__(
        self,
        audiences: Audiences,
        permissions: Permissions,
        tokens: PersonTokens | None,
        random: np.random.Generator,
    ) -> None:
        self._audiences = audiences
        self._permissions = permissions
        self._tokens = tokens
        self._random = random

    async def export(self, audience_id: str, partner: str, purpose: int) -> AsyncIterator[Part]:
        """
        The members as they are now; nothing is told before the floor is reached.

        Raises NotFound, FailedPrecondition where the audience is not ready or (BELOW_FLOOR) too small, PermissionDenied
        where the partner may have no tokens, Unavailable.
        """
        await self._audiences.get(audience_id)
        members = self._audiences.members(audience_id)
        if members is None:
            raise FailedPrecondition(f"audience {audience_id} is not ready")
        if self._tokens is None:
            raise FailedPrecondition("there are no person tokens without identity")
        if len(members) < FLOOR:
            raise _too_small()
        order = await asyncio.to_thread(self._shuffled, members.copy())
        held_back: list[str] = []
        sent = 0
        for start in range(0, len(order), BATCH):
            found = await self._tokens_of(self._tokens, partner, order[start : start + BATCH].tolist(), purpose)
            sent += len(found)
            if sent < FLOOR:
                held_back += found
            elif held_back:
                yield Part(held_back)
                held_back = []
                yield Part(found)
            else:
                yield Part(found)
        if sent < FLOOR:
            raise _too_small()
        left_out = len(order) - sent
        yield Part((), sent, -(-left_out // STEP) * STEP)

    async def _tokens_of(
        self, tokens: PersonTokens, partner: str, person_ids: Sequence[int], purpose: int
    ) -> list[str]:
        permitted = await self._permissions.permitted(person_ids, purpose)
        issued = await tokens.issue(partner, [person_id for person_id in person_ids if person_id in permitted])
        # Tokens are as random, so their order tells nothing of the persons'.
        return sorted(issued.values())

    def _shuffled(self, members: MemberSet) -> npt.NDArray[np.uint64]:
        """By their ids, the lists of two partners could be laid side by side."""
        order = np.fromiter(members, np.uint64, len(members))
        self._random.shuffle(order)
        return order


def _too_small() -> FailedPrecondition:
    return FailedPrecondition(f"fewer than {FLOOR} members may be told", reason="BELOW_FLOOR")
