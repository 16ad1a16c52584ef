"""
The data plane of the gateway: decisions, tracking beacons, behaviour, orders.

Invariants: a beacon is acknowledged only once attribution committed it or the spool fsynced it; a completed decision is
stored and repeated byte for byte; a redirect goes to the landing URL of a creative, never to what a request says.
Owns the table `decisions` of the gateway's database and the spool folder.
"""
