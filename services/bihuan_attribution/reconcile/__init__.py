"""The independent fold: the books recomputed from the lake by SQL, and compared with the ledger."""
