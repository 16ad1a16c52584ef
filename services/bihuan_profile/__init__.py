"""
Profile: person → tags, interests and transaction knowledge, released by purpose and consent.

Owns the keys `pf:*` of its Redis: `pf:{<bucket>}:<person id>`, one versioned blob a person, and
`pf:{<bucket>}:seen:<yyyymm>`, marks of the events that were taken in; `pf:{population}:*`, what persons are compared
with. Reads the streams `st:{events:N}`.

Invariants: an event counts once whichever way and however often it comes; concurrent writers lose no update; what
purpose and consent do not allow is absent from every answer; an erased person does not come back.
"""
