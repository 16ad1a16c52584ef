"""Leases over gRPC."""

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bihuan.attribution.v1 import attribution_pb2
from bihuan_gateway.data.hops.attribution import RESERVE_OUTCOMES
from bihuan_gateway.data.ports import ReserveOutcome
from bihuan_gateway.data.ports.leasing import LeaseAnswer, LeaseGrant, LeaseWish
from bihuan_shared.clock import to_us
from bihuan_shared.errors import FailedPrecondition
from bihuan_shared.rpc.deadline import deadline_scope

if TYPE_CHECKING:  # stubs of asyncio exist for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub

_ITEM: Final = re.compile(r"items\[(\d+)\]\.campaign_id")
_ROUNDS: Final = 8
_CAPPED: Final = LeaseGrant(ReserveOutcome.CAPPED, 0)


class GrpcLeases:
    """Implements the port `Leases`."""

    def __init__(self, stub: "AttributionServiceAsyncStub", *, timeout_s: float) -> None:
        self._stub = stub
        self._timeout_s = timeout_s

    async def lease(self, lease_id: str, wishes: Sequence[LeaseWish]) -> LeaseAnswer:
        """
        Let a lease hold what is wished; a campaign with caps that attribution refuses is left out, and CAPPED.

        An answer names 32 of the refused ones, so that many of them are found round by round.
        """
        refused: set[int] = set()
        for last in (False,) * (_ROUNDS - 1) + (True,):
            asked = [index for index in range(len(wishes)) if index not in refused]
            try:
                with deadline_scope(self._timeout_s):
                    response = await self._stub.LeaseBudgets(_request(lease_id, [wishes[index] for index in asked]))
            except FailedPrecondition as error:
                found = {asked[at] for at in _places(error) if at < len(asked)}
                if last or not found:
                    raise
                refused |= found
                continue
            grants = dict(zip(asked, response.grants, strict=True))
            return LeaseAnswer(
                tuple(_grant(grants[index]) if index in grants else _CAPPED for index in range(len(wishes))),
                to_us(response.expire_time),
            )
        raise AssertionError  # the last round has answered or raised


def _request(lease_id: str, wishes: Sequence[LeaseWish]) -> attribution_pb2.LeaseBudgetsRequest:
    return attribution_pb2.LeaseBudgetsRequest(
        lease_id=lease_id,
        items=[
            attribution_pb2.LeaseItem(
                campaign_id=one.campaign_id, advertiser_id=one.advertiser_id, amount_nanos=one.amount_nanos
            )
            for one in wishes
        ],
    )


def _places(error: FailedPrecondition) -> list[int]:
    return [int(found[1]) for one in error.violations if (found := _ITEM.fullmatch(one.field))]


def _grant(message: attribution_pb2.LeaseGrant) -> LeaseGrant:
    return LeaseGrant(RESERVE_OUTCOMES[message.outcome], message.granted_nanos)
