"""
What can be told of the traffic behind a request: whether a browser only fetched ahead, and whose address it was.

An address leaves this module as a keyed hash of the day or not at all.
"""

import ipaddress
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

DAY_US = 86_400_000_000
HASH_BYTES = 8
MAX_RANGES = 1_000_000
_ADVANCE = frozenset({"prefetch", "preview", "prerender"})
_NETWORK_BITS_V6 = 64

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True, slots=True)
class Visit:
    """
    What a request says of where it comes from; none of it is kept.

    `purposes` are the values of the headers in which browsers say that they fetch ahead, `peer` is the address that the
    connection came from and `forwarded` the value of `X-Forwarded-For`; all are empty where they are not known.
    """

    user_agent: str = ""
    purposes: tuple[str, ...] = ()
    peer: str = ""
    forwarded: str = ""


@dataclass(frozen=True, slots=True)
class Traffic:
    """What is told of a visit; `address_hash` has 64 bits, and is 0 where no public address is known."""

    address_hash: int = 0
    known_bot: bool = False
    prefetch: bool = False
    data_centre: bool = False


UNSEEN = Traffic()


def is_prefetch(purposes: Iterable[str]) -> bool:
    """
    Tell whether one of the purposes of a request is to fetch ahead.

    `Sec-Purpose` is a structured field (`prefetch;prerender`, RFC 9651); `Purpose`, `X-Purpose` (Safari: `preview`) and
    `X-Moz` are what browsers sent before it. See https://developer.mozilla.org/docs/Web/HTTP/Reference/Headers/Sec-Purpose.
    """
    return any(
        item.partition(";")[0].strip().lower() in _ADVANCE for purpose in purposes for item in purpose.split(",")
    )


def client_address(peer: str, forwarded: str, trusted_proxies: int) -> Address | None:
    """
    Find the address of the client.

    It is the peer's where no proxy is trusted. Behind n of them it is the n-th from the right of `X-Forwarded-For`:
    each proxy adds the address that it was called from, and what stands further left was written by the client. None
    where that is no address, or where too few proxies have written there.
    """
    if trusted_proxies == 0:
        return _address(peer)
    hops = forwarded.split(",")
    return _address(hops[-trusted_proxies]) if len(hops) >= trusted_proxies else None


def _address(text: str) -> Address | None:
    bare = text.strip()
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return mapped or address


def day_key(key: bytes, at_us: int) -> bytes:
    """Derive the key of addresses of the UTC day of an instant."""
    return blake2b((at_us // DAY_US).to_bytes(8, "big", signed=True), key=key, digest_size=32).digest()


def address_hash(address: Address, key: bytes) -> int:
    """
    Hash an address to 64 bits other than 0, under the key of a day.

    Of an IPv6 address the upper 64 bits count: a single connection has all addresses of such a network.
    """
    packed = address.packed[: _NETWORK_BITS_V6 // 8] if address.version == 6 else address.packed  # noqa: PLR2004
    return int.from_bytes(blake2b(packed, key=key, digest_size=HASH_BYTES).digest(), "big") or 1


class AddressRanges:
    """Ranges of addresses, merged and sorted, so that a look-up is one bisection."""

    __slots__ = ("_ends", "_starts")

    def __init__(self, networks: Iterable[str] = ()) -> None:
        """Take networks in CIDR notation (ValueError names the one that is none)."""
        spans: dict[int, list[tuple[int, int]]] = {4: [], 6: []}
        for count, text in enumerate(networks, 1):
            if count > MAX_RANGES:
                raise ValueError(f"more than {MAX_RANGES} networks")
            network = ipaddress.ip_network(text, strict=False)
            spans[network.version].append((int(network.network_address), int(network.broadcast_address)))
        merged = {version: _merged(found) for version, found in spans.items()}
        self._starts = {version: [start for start, _ in found] for version, found in merged.items()}
        self._ends = {version: [end for _, end in found] for version, found in merged.items()}

    def __contains__(self, address: Address) -> bool:
        """Whether an address lies in one of the ranges."""
        number, version = int(address), address.version
        index = bisect_right(self._starts[version], number) - 1
        return index >= 0 and number <= self._ends[version][index]


def _merged(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1] + 1:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def networks_in(text: str) -> list[str]:
    """List the networks of a file: one a line; what follows a `#` is a remark, and empty lines are none."""
    lines = (line.partition("#")[0].strip() for line in text.splitlines())
    return [line for line in lines if line]
