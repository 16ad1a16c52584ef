"""What a decision took of a lease, as the reservation id of its token says."""

from dataclasses import dataclass

LEASE = "lease:"
"""How the id of a reservation begins that is a lease's; what a decision takes of one is named `lease:<id>:<nanos>`."""
_MAX_DIGITS = 18


@dataclass(frozen=True, slots=True)
class LeasePart:
    """What one decision took of a lease."""

    reservation_id: str
    nanos: int


def lease_part(reservation_id: str) -> LeasePart | None:
    """What the reservation id of a token says that its decision took of which lease; None where it is no lease's."""
    if not reservation_id.startswith(LEASE):
        return None
    lease, _, nanos = reservation_id.rpartition(":")
    if not (nanos.isascii() and nanos.isdecimal() and len(nanos) <= _MAX_DIGITS):
        return None
    return LeasePart(lease, int(nanos))
