"""Private tags in memory: the contract of the Redis store without Redis."""

from collections.abc import Sequence
from dataclasses import replace

from bihuan_profile.use_cases.private_tags import NOTHING_HELD, HeldTags


class MemoryPrivateTagStore:
    """A PrivateTagStore in a dict."""

    def __init__(self) -> None:
        self._held: dict[str, HeldTags] = {}
        self._lives = 1

    async def read(self, namespaces: Sequence[str]) -> list[HeldTags]:
        """What is held of each namespace, in the same order."""
        return [self._held.get(namespace, NOTHING_HELD) for namespace in namespaces]

    async def compare_and_set(self, namespace: str, held: HeldTags) -> bool:
        """Write tags over `held.revision`."""
        if self._held.get(namespace, NOTHING_HELD).revision != held.revision:
            return False
        self._held[namespace] = replace(held, revision=held.revision + 1)
        return True

    async def epoch(self) -> str:
        """A name of the store's life."""
        return str(self._lives)

    def lose_everything(self) -> None:
        """What FLUSHALL does."""
        self._held.clear()
        self._lives += 1
