"""Person tokens for every service but identity: asked of identity over gRPC, and remembered for a moment."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final, Generic, Self, TypeVar

import grpc

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceStub
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from bihuan_shared.person_tokens import TokenHolder, TokenStatus
from bihuan_shared.rpc.client import open_channel

MAX_AGE_S: Final = 30.0
"""How long an answer is reused: so long a revocation, an erasure or a merge may go unnoticed by other services."""
MAX_REMEMBERED: Final = 100_000
"""Answers that are kept, in each direction."""

_BATCH: Final = 1_000
_STATUSES: Final = {
    pb.RESOLUTION_STATUS_RESOLVED: TokenStatus.RESOLVED,
    pb.RESOLUTION_STATUS_INVALID: TokenStatus.INVALID,
    pb.RESOLUTION_STATUS_EXPIRED: TokenStatus.EXPIRED,
    pb.RESOLUTION_STATUS_OPTED_OUT: TokenStatus.WITHDRAWN,
}

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class _Remembered(Generic[K, V]):
    """The newest answers, up to a number and an age; keys are (partner, what was asked)."""

    def __init__(self, now_s: Callable[[], float], limit: int) -> None:
        self._now_s = now_s
        self._limit = limit
        self._kept: OrderedDict[tuple[str, K], tuple[float, V]] = OrderedDict()

    async def get(
        self, partner: str, wanted: Sequence[K], ask: Callable[[Sequence[K]], Awaitable[Mapping[K, V]]]
    ) -> dict[K, V]:
        """Return what is known of the wanted, asking for the rest in batches; what has no answer is left out."""
        oldest_s = self._now_s() - MAX_AGE_S
        found: dict[K, V] = {}
        for one in wanted:
            kept = self._kept.get((partner, one))
            if kept is not None and kept[0] > oldest_s:
                found[one] = kept[1]
        for batch in _batches([one for one in wanted if one not in found]):
            answered = await ask(batch)
            found.update(answered)
            self._keep(partner, answered)
        return found

    def _keep(self, partner: str, answered: Mapping[K, V]) -> None:
        now_s = self._now_s()
        for one, answer in answered.items():
            self._kept[partner, one] = (now_s, answer)
            self._kept.move_to_end((partner, one))
        while len(self._kept) > self._limit:
            self._kept.popitem(last=False)


def _batches(wanted: Sequence[K]) -> Iterator[Sequence[K]]:
    for start in range(0, len(wanted), _BATCH):
        yield wanted[start : start + _BATCH]


class IdentityTokens:
    """`PersonTokens` of a service that asks identity."""

    def __init__(
        self,
        channel: grpc.aio.Channel,
        now_s: Callable[[], float] = time.monotonic,
        max_remembered: int = MAX_REMEMBERED,
    ) -> None:
        self._channel = channel
        self._stub = IdentityServiceStub(channel)
        self._persons: _Remembered[str, TokenHolder] = _Remembered(now_s, max_remembered)
        self._tokens: _Remembered[int, str] = _Remembered(now_s, max_remembered)

    @classmethod
    def connect(cls, target: str, secret: str) -> Self:
        """Make a client of identity at `target`, which connects when it is first used."""
        return cls(open_channel(target, secret=secret, service="identity"))

    async def admit(self, partner: str) -> None:
        """Let pass: outside of identity, methods that name persons to partners only read, and `issue` refuses."""

    async def resolve(self, partner: str, tokens: Sequence[str]) -> Mapping[str, TokenHolder]:
        """Return who stands behind each token, from memory or from identity."""

        async def ask(batch: Sequence[str]) -> Mapping[str, TokenHolder]:
            request = pb.ResolvePseudonymsRequest(partner=partner, person_tokens=batch)
            with _refusals():
                answer = await self._stub.ResolvePseudonyms(request)
            return {
                token: TokenHolder(person.person_id, _STATUSES[person.status])
                for token, person in zip(batch, answer.persons, strict=True)
            }

        return await self._persons.get(partner, tokens, ask)

    async def issue(self, partner: str, person_ids: Sequence[int]) -> Mapping[int, str]:
        """Return the partner's token of each person that has one, from memory or from identity."""

        async def ask(batch: Sequence[int]) -> Mapping[int, str]:
            request = pb.IssuePseudonymsRequest(partner=partner, person_ids=batch)
            with _refusals():
                answer = await self._stub.IssuePseudonyms(request)
            return {
                person_id: pseudonym.person_token
                for person_id, pseudonym in zip(batch, answer.pseudonyms, strict=True)
                if pseudonym.status == pb.PSEUDONYM_STATUS_ISSUED
            }

        return await self._tokens.get(partner, person_ids, ask)

    async def close(self) -> None:
        """End the connections."""
        await self._channel.close()


@contextmanager
def _refusals() -> Iterator[None]:
    """Turn what identity says about a partner into a refusal of the partner's own call, which names no partner."""
    try:
        yield
    except (NotFound, FailedPrecondition, InvalidArgument) as error:
        raise PermissionDenied("this partner may not exchange person tokens", reason="PARTNER_NOT_ALLOWED") from error
