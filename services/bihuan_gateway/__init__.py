"""
The gateway: what advertisers, publishers and browsers talk to, over HTTP.

Two planes share one process. The control plane (`control/`, `routes/`) holds advertisers, campaigns, ad groups,
creatives, placements and audiences in the SQL schema `gateway`, which nobody else reads, and tells attribution the
terms of campaigns through an outbox. The data plane (`data/`) decides, tracks and takes in events and orders.

Invariants: a campaign serves only once attribution acknowledged its newest terms; an advertiser's key sees its own
tenant only; every error is a problem+json document; no log line carries a query string or an address.
"""
