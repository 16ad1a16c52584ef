"""Watching traffic: what a request says of itself becomes four signals that name nobody."""

from collections.abc import Callable
from dataclasses import dataclass, field

from bihuan_gateway.data.domain.traffic import (
    AddressRanges,
    Traffic,
    Visit,
    address_hash,
    client_address,
    day_key,
    is_prefetch,
)


@dataclass(frozen=True, slots=True)
class TrafficWatch:
    """`key` is what the keys of the days are derived from; 0 trusted proxies means that the peer is the client."""

    is_robot: Callable[[str], bool]
    key: bytes
    data_centres: AddressRanges = field(default_factory=AddressRanges)
    trusted_proxies: int = 0

    def judge(self, visit: Visit, now_us: int) -> Traffic:
        """Derive the signals of a visit at an instant."""
        address = client_address(visit.peer, visit.forwarded, self.trusted_proxies)
        # Behind an address that is not public stands a proxy nobody told us of, or a whole network: it is nobody's.
        named = address if address is not None and address.is_global else None
        return Traffic(
            address_hash=address_hash(named, day_key(self.key, now_us)) if named is not None else 0,
            known_bot=self.is_robot(visit.user_agent),
            prefetch=is_prefetch(visit.purposes),
            data_centre=address is not None and address in self.data_centres,
        )
