"""Things that have versions with a time from which on each holds."""

from collections.abc import Iterable, Sequence
from typing import Generic, Protocol, TypeVar


class Versioned(Protocol):
    """One version of something."""

    @property
    def version(self) -> int:
        """Grows with every change."""
        ...

    @property
    def effective_time_us(self) -> int:
        """From when on it holds."""
        ...


V = TypeVar("V", bound=Versioned)


class VersionBook(Generic[V]):
    """All versions of some things, looked up by version or by instant."""

    __slots__ = ("_versions",)

    def __init__(self) -> None:
        self._versions: dict[str, list[V]] = {}

    def put(self, name: str, one: V) -> None:
        """Take in one version; a version that is held already is left as it is."""
        held = self._versions.setdefault(name, [])
        if any(other.version == one.version for other in held):
            return
        held.append(one)
        held.sort(key=lambda other: other.version)

    def names(self) -> Iterable[str]:
        """What is held."""
        return self._versions

    def versions(self, name: str) -> Sequence[V]:
        """What is held of one thing, oldest version first."""
        return self._versions.get(name, ())

    def in_force(self, name: str, at_us: int) -> V | None:
        """The newest version whose time has come at `at_us`; None before the first one."""
        for one in reversed(self._versions.get(name, ())):
            if one.effective_time_us <= at_us:
                return one
        return None

    def at(self, name: str, at_us: int) -> V | None:
        """Like `in_force`, but the first version also covers what happened before it; None for what is not known."""
        held = self._versions.get(name)
        return self.in_force(name, at_us) or (held[0] if held else None)

    def sold_under(self, name: str, version: int) -> V | None:
        """The version that a token names, or the newest older one; None for what is not known."""
        held = self._versions.get(name)
        if not held:
            return None
        return next((one for one in reversed(held) if one.version <= version), held[0])
