"""
Ids that follow from the request alone, so that a retry after a crash finds its own reservation and bills once.

All are 32 hexadecimal digits: they travel as 16 bytes in a tracking token.
"""

import hmac
from hashlib import sha256


def derived_id(key: bytes, *parts: str) -> str:
    """Derive an id from parts; without the key nobody can tell which parts it came from."""
    raw = [part.encode() for part in parts]
    message = b"".join([piece for part in raw for piece in (len(part).to_bytes(4, "big"), part)])
    return hmac.digest(key, message, "sha256")[:16].hex()


def landing_with_click(landing_url: str, click_id: str) -> str:
    """
    Append `bh_click` to the query of a landing URL, before its fragment.

    A `bh_click` that the URL already has is replaced; everything else stays as it is written.
    """
    address, mark, fragment = landing_url.partition("#")
    path, _, query = address.partition("?")
    kept = [part for part in query.split("&") if part and part.partition("=")[0] != "bh_click"]
    return f"{path}?{'&'.join([*kept, f'bh_click={click_id}'])}{mark}{fragment}"


def scoped_id(scope: str, name: str, max_chars: int = 128) -> str:
    """Name something within a scope, so that no tenant's ids meet another's; a long name becomes its digest."""
    full = f"{scope}/{name}" if scope else name
    return full if len(full) <= max_chars else f"sha256:{sha256(full.encode()).hexdigest()}"
