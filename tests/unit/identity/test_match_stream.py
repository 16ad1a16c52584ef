"""A list is taken from the wire no faster than it is counted."""

import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_identity.domain.graph import Attachment, KeyedIdentifier
from bihuan_identity.domain.keys import KeyHasher, Pepper
from bihuan_identity.domain.receipts import ReceiptKeys
from bihuan_identity.rpc_partners import PartnerDesk, PartnerServicer
from bihuan_identity.use_cases.matching import Matching
from bihuan_identity.use_cases.receipts import ErasureRecord
from bihuan_shared.callers import Caller, Role, set_caller
from bihuan_shared.clock import FixedClock
from tests.unit.identity.partner_fakes import START_US, pseudonyms

Part: Any = PartnerServicer  # the stubs call its other methods abstract


class NoErasures:
    """Nobody was erased."""

    async def erasure(self, erasure_id: int) -> ErasureRecord | None:
        return None


async def test_the_next_message_is_taken_when_the_one_before_is_counted() -> None:
    happened: list[str] = []

    async def look_up(identifiers: Sequence[KeyedIdentifier]) -> Mapping[bytes, Attachment]:
        happened.append(f"counted {len(identifiers)}")
        return {}

    async def messages() -> AsyncIterator[pb.MatchIdentifiersRequest]:
        for size in (3, 2, 1):
            happened.append(f"taken {size}")
            values = (hashlib.sha256(b"%d of %d" % (at, size)).hexdigest() for at in range(size))
            yield pb.MatchIdentifiersRequest(
                identifiers=[Identifier(namespace="email_sha256", value=value) for value in values]
            )

    set_caller(Caller(Role.INTERNAL, "gateway"))
    made = pseudonyms()
    hasher, receipts = KeyHasher([Pepper(1, bytes(32))]), ReceiptKeys({1: bytes(32)})
    desk = PartnerDesk(made, Matching(look_up, made), receipts, NoErasures(), hasher, FixedClock(START_US))
    answer = await Part(desk).MatchIdentifiers(messages(), None)
    assert answer == pb.MatchIdentifiersResponse(sent_count=6, below_floor=True)
    assert happened == ["taken 3", "counted 3", "taken 2", "counted 2", "taken 1", "counted 1"]
