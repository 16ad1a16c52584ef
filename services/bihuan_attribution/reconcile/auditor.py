"""Compares the ledger with the fold over the lake, at the position that billing is at."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Final

import duckdb

from bihuan_attribution.reconcile.fold import Cut, Fold, Folded
from bihuan_attribution.reconcile.snapshot import LedgerSide, Positions, is_behind, read_ledger, read_positions
from bihuan_attribution.use_cases.reconcile_ports import AccountFold, CurrencyFold, Reconciliation
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import Lake
from bihuan_shared.sql import Database

PATIENCE_S: Final = 5.0
"""How long the lake may take to come up to billing."""
_POLL_S: Final = 0.05
# The last one is what DuckDB makes of an error while it reads a registered dataset.
_UNREADABLE: Final = (OSError, duckdb.IOException, duckdb.InvalidInputException)


class LakeAuditor:
    """
    The independent fold of one database and its lake; one fold at a time.

    `nudge` is called so that the lake's consumers go on at once; `scratch` is the folder that a fold works in.
    """

    def __init__(
        self, database: Database, lake: Lake, nudge: Callable[[], None] = lambda: None, scratch: Path | None = None
    ) -> None:
        self._database = database
        self._lake = lake
        self._nudge = nudge
        self._scratch = scratch
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="reconcile")
        self._running: set[Fold] = set()

    async def positions(self) -> Reconciliation:
        """Where the consumers of the event log are; nothing is compared."""
        found = await self._database.read(read_positions)
        return _nothing_compared(found)

    async def reconcile(self) -> Reconciliation:
        """
        Compare the books with what the lake says they must be.

        Raises Unavailable where the lake does not come up to billing in `PATIENCE_S` seconds, or cannot be read. A
        cancelled call ends its fold.
        """
        ledger = await self._database.read(read_ledger)
        await self._wait_for(ledger)
        folded = await self._fold(Cut(ledger.billed, ledger.last_operation))
        return compared(ledger, folded)

    async def close(self) -> None:
        """End what runs, and wait for it."""
        for fold in tuple(self._running):
            fold.interrupt()
        await asyncio.to_thread(self._thread.shutdown, cancel_futures=True)

    async def _wait_for(self, ledger: LedgerSide) -> None:
        """The lake only ever gains rows, so what it holds more by now is left out by position."""
        behind: dict[str, int] = {}
        for _ in range(int(PATIENCE_S / _POLL_S)):
            behind = await self._database.read(lambda c: is_behind(c, ledger.needed))
            if not behind:
                return
            self._nudge()
            await asyncio.sleep(_POLL_S)
        late = ", ".join(f"{name} at {position} of {ledger.needed[name]}" for name, position in sorted(behind.items()))
        raise Unavailable(f"the lake is behind the books: {late}")

    async def _fold(self, cut: Cut) -> Folded:
        fold = Fold(self._lake, cut, self._scratch)
        running = self._thread.submit(fold.run)
        self._running.add(fold)
        try:
            return await asyncio.wrap_future(running)
        except asyncio.CancelledError:
            fold.interrupt()
            raise
        except _UNREADABLE as error:
            raise Unavailable("the lake cannot be read") from error
        finally:
            with suppress(KeyError):
                self._running.remove(fold)


def compared(ledger: LedgerSide, folded: Folded) -> Reconciliation:
    """Ledger and fold beside each other."""
    keys = sorted({key for key, nanos in ledger.accounts.items() if nanos} | set(folded.accounts))
    accounts = tuple(
        AccountFold(
            currency, account, ledger.accounts.get((currency, account), 0), folded.accounts.get((currency, account), 0)
        )
        for currency, account in keys
    )
    currencies = sorted({key[0] for key in (*ledger.accounts, *folded.accounts)})
    reasons = folded.reasons | ledger.rejected
    billed = reasons.pop("billed", 0)
    if missing := ledger.billed - folded.event_count:
        reasons["missing_in_lake"] = missing
    return Reconciliation(
        currencies=tuple(_currency(currency, ledger, folded, accounts) for currency in currencies),
        unbilled=tuple(sorted((reason, count) for reason, count in reasons.items() if count)),
        head_position=ledger.positions.head,
        consumers=tuple(sorted(ledger.positions.consumers.items())),
        accounts=accounts,
        compared_position=ledger.billed,
        billed_count=billed,
    )


def _currency(currency: str, ledger: LedgerSide, folded: Folded, accounts: tuple[AccountFold, ...]) -> CurrencyFold:
    total = sum(nanos for (held_in, _), nanos in ledger.accounts.items() if held_in == currency)
    debit = ledger.debits.get(currency, 0)
    return CurrencyFold(
        currency=currency,
        debit_nanos=debit,
        credit_nanos=debit - total,
        ledger_charged_nanos=ledger.charged.get(currency, 0),
        fold_charged_nanos=folded.charged.get(currency, 0),
        accounts_difference_nanos=sum(abs(one.difference_nanos) for one in accounts if one.currency == currency),
    )


def _nothing_compared(positions: Positions) -> Reconciliation:
    return Reconciliation((), (), positions.head, tuple(sorted(positions.consumers.items())))
