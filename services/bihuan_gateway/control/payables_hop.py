"""Attribution over gRPC, as it keeps what is payable."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bihuan.attribution.v1 import attribution_pb2
from bihuan_gateway.control.insight import Balance
from bihuan_gateway.hops import asked_by_us

if TYPE_CHECKING:  # this class exists for type checkers only
    from bihuan.attribution.v1.attribution_pb2_grpc import AttributionServiceAsyncStub


@dataclass(frozen=True, slots=True)
class PayablesHop:
    """Implements `ports.Payables`."""

    stub: "AttributionServiceAsyncStub"

    async def payable(self, account: str) -> list[Balance]:
        """Tell what an account of a promoter or a publisher holds, by currency."""
        with asked_by_us():
            answer = await self.stub.GetBalance(attribution_pb2.GetBalanceRequest(account=account))
        return [Balance(one.account, one.currency, one.balance_nanos) for one in answer.balances]
