"""
Identity: which person is behind a set of identifiers, and on what evidence.

Invariants: persons are what the recorded evidence connects; a change is committed before it is answered; the older
person survives a merge and the other stays resolvable; raw identifiers are neither stored nor logged, keyed hashes are.

Owns the SQL tables of `schema.py` (the truth) and the Redis keys `id:{<tag>}:<bucket>` (an index, rebuilt by use).
"""
