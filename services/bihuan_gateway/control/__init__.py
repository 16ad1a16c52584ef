"""
The control plane: who advertises what, to whom, where and at which price.

Invariants: a resource and its change of the serving snapshot commit together; a campaign and its terms in the outbox
commit together; an idempotency key is stored with the resource that it made.
"""
