"""
What happened, what led to it, and who owes whom for it.

Invariants: an acknowledged event is a committed row of the event log; an event is billed at most once, for ever; every
entry of the ledger sums to zero and names its cause; nothing is charged beyond a budget; a consumer's position commits
together with its effects.

Owns its SQL database (schema `attribution`: event log, terms, touches, orders, ledger, budgets, figures) and, as a
cache that can be rebuilt from there at any time, the Redis keys `at:{<advertiser>}:*` and the streams `st:{events:N}`.
"""
