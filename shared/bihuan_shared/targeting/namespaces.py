"""Names of private tags: `<namespace>.<name>`, where the namespace follows from the advertiser's id."""

import re
from hashlib import sha256
from typing import Final

MAX_LOCAL_NAME: Final = 48
"""Length of what follows the dot."""
_PLAIN: Final = re.compile(r"[a-z](?:_?[a-z0-9])*")
_LOCAL: Final = re.compile(rf"[a-z][a-z0-9_]{{0,{MAX_LOCAL_NAME - 1}}}")
_OTHER: Final = re.compile(r"[^a-z0-9]+")
_KEPT: Final = 40
_DIGEST: Final = 12


def namespace_of(advertiser_id: str) -> str:
    """
    The namespace of an advertiser's private tags.

    An id of lower-case letters, digits and single underscores that begins with a letter is its own namespace. Of any
    other id it is what can be kept of it, two underscores and 48 bits of its SHA-256: no two advertisers share one.
    """
    if _PLAIN.fullmatch(advertiser_id):
        return advertiser_id
    kept = _OTHER.sub("_", advertiser_id.lower())[:_KEPT].strip("_")
    letters = kept if kept[:1].isalpha() else f"n{kept}"
    return f"{letters}__{sha256(advertiser_id.encode()).hexdigest()[:_DIGEST]}"


def namespace_in(name: str) -> str:
    """The namespace that a tag's name begins with; empty for a tag of the platform."""
    return name.rpartition(".")[0]


def is_private_name(name: str, namespace: str) -> bool:
    """Whether this is a well-formed name of a private tag in the namespace."""
    prefix, _, local = name.rpartition(".")
    return prefix == namespace and _LOCAL.fullmatch(local) is not None
