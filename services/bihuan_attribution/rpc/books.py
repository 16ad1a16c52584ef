"""The books: entries, balances, deposits, the independent fold."""

import grpc

from bihuan.attribution.v1 import attribution_pb2 as pb
from bihuan_attribution import answers
from bihuan_attribution.paging import open_page, seal_page
from bihuan_attribution.rpc.ports import Served
from bihuan_shared.clock import to_us
from bihuan_shared.errors import InvalidArgument

_MAX_DEPOSIT_MICROS = 10**15
_DEFAULT_ENTRIES = 100
Context = grpc.aio.ServicerContext


class BooksRpc(Served):
    """The ledger as it stands."""

    async def ListLedgerEntries(  # noqa: N802  # the contract's name
        self,
        request: pb.ListLedgerEntriesRequest,
        _context: Context[pb.ListLedgerEntriesRequest, pb.ListLedgerEntriesResponse],
    ) -> pb.ListLedgerEntriesResponse:
        """Entries, oldest first."""
        limit = request.page_size or _DEFAULT_ENTRIES
        (after,) = open_page(request.page_token, 1) or ("0",)
        if not (after.isascii() and after.isdigit()) or int(after) >= 2**63:
            raise InvalidArgument.of("page_token", "is not one that was given for this query")
        found = await self._ports.ledger.entries(
            request.advertiser_id,
            request.campaign_id,
            int(after),
            limit + 1,
            order_id=request.order_id,
            as_of_us=to_us(request.as_of_time) if request.HasField("as_of_time") else None,
        )
        return pb.ListLedgerEntriesResponse(
            entries=[answers.ledger_entry(one) for one in found[:limit]],
            next_page_token=seal_page([str(found[limit - 1].entry_id)]) if len(found) > limit else "",
        )

    async def GetBalance(  # noqa: N802  # the contract's name
        self, request: pb.GetBalanceRequest, _context: Context[pb.GetBalanceRequest, pb.GetBalanceResponse]
    ) -> pb.GetBalanceResponse:
        """What an advertiser's accounts hold, or what is payable to somebody; none where there are no entries."""
        if bool(request.advertiser_id) == bool(request.account):
            field = "account" if request.account else "advertiser_id"
            raise InvalidArgument.of(field, "either an advertiser or an account is asked for")
        as_of_us = to_us(request.as_of_time) if request.HasField("as_of_time") else None
        if request.account:
            found = await self._ports.payables.payable(request.account, as_of_us)
        else:
            found = await self._ports.ledger.balances(request.advertiser_id, as_of_us)
        return pb.GetBalanceResponse(
            balances=[
                pb.AccountBalance(account=account, currency=currency, balance_nanos=nanos)
                for account, currency, nanos in found
            ]
        )

    async def Deposit(  # noqa: N802  # the contract's name
        self, request: pb.DepositRequest, _context: Context[pb.DepositRequest, pb.DepositResponse]
    ) -> pb.DepositResponse:
        """Book a deposit, once by its id."""
        ports, micros = self._ports, request.amount.micros
        if not 0 < micros <= _MAX_DEPOSIT_MICROS:
            raise InvalidArgument.of("amount.micros", f"must be 1 to {_MAX_DEPOSIT_MICROS}")
        booked = await ports.ledger.deposit(
            request.advertiser_id, request.deposit_id, request.amount.currency, micros * 1000, ports.clock.now_us()
        )
        await ports.push_balance(request.advertiser_id)
        return pb.DepositResponse(entry=answers.ledger_entry(booked))

    async def Reconcile(  # noqa: N802  # the contract's name
        self, request: pb.ReconcileRequest, _context: Context[pb.ReconcileRequest, pb.ReconcileResponse]
    ) -> pb.ReconcileResponse:
        """Compare the books with the independent fold, or only tell where the consumers are."""
        auditor = self._ports.auditor
        return answers.reconciliation(await (auditor.positions() if request.positions_only else auditor.reconcile()))
