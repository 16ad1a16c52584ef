"""
Where webhooks may go: https to public addresses, on few ports; in development also http to this machine.

What an advertiser names is a wish, and never reaches inside: an address is judged when it is connected to, whatever
name led there and whatever that name meant a moment before.
"""

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, urlsplit

MAX_URL_CHARS: Final = 2048
PORTS: Final = frozenset({443, 8443})
"""Ports that https webhooks may be on."""

_CHARS = re.compile(r"[!$-;=?-Z\[\]_a-z~]+")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_NAME = re.compile(rf"(?:{_LABEL}\.)+{_LABEL}")
_NUMERIC = re.compile(r"(?:0[xX][0-9A-Fa-f]*|[0-9]+)")
_UNICAST: Final = ipaddress.ip_network("2000::/3")
_NOT_PUBLIC: Final = tuple(
    ipaddress.ip_network(text)
    for text in (
        "192.88.99.0/24",  # relays of 6to4
        "168.63.129.16/32",  # metadata of a cloud, at a public address
        "2001::/23",  # Teredo and other protocols that carry another address inside
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
    )
)


def is_public(address: str) -> bool:
    """
    Tell whether an IP address belongs to the public Internet, and to one host of it.

    Private, loopback, link-local (where clouds keep their metadata), shared, multicast and reserved ranges do not; nor
    does anything of IPv6 that carries an IPv4 address inside: mapped, compatible, NAT64, 6to4, Teredo.
    """
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return False
    if not found.is_global or found.is_multicast or found.is_reserved:
        return False
    if found.version == 6 and found not in _UNICAST:  # noqa: PLR2004 - the version of the protocol
        return False
    return not any(found in network for network in _NOT_PUBLIC if network.version == found.version)


def is_loopback(address: str) -> bool:
    """Tell whether an IP address is this machine's own."""
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def is_development(url: str) -> bool:
    """Tell whether a checked URL is one of this machine, which only a development setting lets through."""
    return url.startswith("http://")


def checked_url(url: str) -> str:
    """
    Return a webhook's URL where its form is right (ValueError says what is wrong).

    Whether its name leads to a public address shows when it is connected to.
    """
    if len(url) > MAX_URL_CHARS or not _CHARS.fullmatch(url):
        raise ValueError("is too long or holds a character that a URL may not hold unescaped, or a fragment")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("not a URL") from None
    if "@" in parts.netloc or "%" in parts.netloc:
        raise ValueError("must not hold user information or escapes before its path")
    host = parts.hostname or ""
    if parts.scheme == "http" and (host == "localhost" or is_loopback(host)):
        return url
    if parts.scheme != "https" or not url.startswith("https://"):
        raise ValueError("must be an absolute https URL")
    if (443 if port is None else port) not in PORTS:
        raise ValueError(f"must be on one of the ports {', '.join(map(str, sorted(PORTS)))}")
    _check_host(host, parts)
    return url


def _check_host(host: str, parts: SplitResult) -> None:
    if "[" in parts.netloc or _is_address(host):
        if not is_public(host):
            raise ValueError("must be a public address")
    elif _NUMERIC.fullmatch(host.rpartition(".")[2]) or not _NAME.fullmatch(host):
        # Resolvers read 0x7f.1, 017700000001 and 2130706433 as addresses.
        raise ValueError("must name a host by its full name or by an address in its usual form")


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
