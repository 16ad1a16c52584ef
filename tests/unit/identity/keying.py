"""What tests of namespaces share: a hasher of one epoch, and whether a value is taken."""

import hashlib

import pytest

from bihuan_identity.domain.keys import KeyHasher, Pepper
from bihuan_identity.domain.namespaces import ValueRefusedError, find_namespace

HASHER = KeyHasher([Pepper(1, bytes(range(32)))])


def key(namespace: str, value: str) -> bytes:
    """Return the key of a value."""
    return HASHER.identify(namespace, value).key


def key_if_taken(namespace: str, value: str) -> bytes | None:
    """Return the key of a value, None where it is refused."""
    try:
        return key(namespace, value)
    except ValueRefusedError:
        return None


def plain_md5(text: str) -> str:
    """Return what a platform sends for a text, placeholders included."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def canonical(namespace: str, value: str) -> str:
    """Return the spelling of a value before it is hashed."""
    declared = find_namespace(namespace)
    assert declared is not None
    return declared.normalise(value)


def assert_refused(namespace: str, value: str) -> None:
    """Assert that a value is refused in words that do not repeat it."""
    with pytest.raises(ValueRefusedError) as refusal:
        key(namespace, value)
    # Values of a letter or two are in every sentence.
    assert len(value.strip()) <= 3 or value.strip() not in str(refusal.value)
