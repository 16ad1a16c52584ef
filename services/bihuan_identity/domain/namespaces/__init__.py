"""
Namespaces: which kinds of identifiers there are, how a value is spelled, hashed and kept, and how far it is trusted.

The declarations are data (`declared`); `contacts`, `devices` and `opaque` hold the spellings of their values, `digests`
reads values that arrive hashed, `junk` knows what is no identifier at all.
"""

from bihuan_identity.domain.namespaces.declared import (
    DECLARED,
    EID_PREFIX,
    PARTNER_PREFIX,
    Namespace,
    Scope,
    find_namespace,
    kept_name,
)
from bihuan_identity.domain.namespaces.junk import ValueRefusedError

__all__ = [
    "DECLARED",
    "EID_PREFIX",
    "PARTNER_PREFIX",
    "Namespace",
    "Scope",
    "ValueRefusedError",
    "find_namespace",
    "kept_name",
]
