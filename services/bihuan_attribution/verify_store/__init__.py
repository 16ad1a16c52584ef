"""
The proof of the books, read from SQL.

What is found: any entry or posting that was edited, deleted or inserted without computing all hashes after it anew;
with all hashes computed anew, whatever contradicts a closed period's head hash, the event log, the journal of
operations, the balances, the budgets or the invoices. What no check inside one database can find: somebody who may
write everything rewrites entries of the open period together with the log, the journal, balances and budgets, or cuts
off the ledger's end with all that it moved. The head hash that a proof answers is there to be kept elsewhere; the event
lake, which the books are reconciled with, is such a place, too.
"""

from bihuan_attribution.verify_store.verifier import SqlVerifier

__all__ = ["SqlVerifier"]
