"""Page tokens: where to go on, opaque to callers."""

import base64
import binascii
import json
from collections.abc import Sequence

from bihuan_shared.errors import InvalidArgument


def seal_page(values: Sequence[str]) -> str:
    """A token that `open_page` reads."""
    return base64.urlsafe_b64encode(json.dumps(list(values)).encode()).decode()


def open_page(token: str, count: int) -> tuple[str, ...]:
    """The values of a token, none for an empty one. InvalidArgument where it is not one of `count` texts."""
    if not token:
        return ()
    try:
        values = json.loads(base64.urlsafe_b64decode(token.encode()))
    except (binascii.Error, ValueError, RecursionError):
        values = None
    if not isinstance(values, list) or len(values) != count or not all(isinstance(one, str) for one in values):
        raise InvalidArgument.of("page_token", "is not one that was given for this query")
    return tuple(values)
