"""Private tags of advertisers: declaring them, and knowing them wherever they are needed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from bihuan_profile.domain.private_tags import (
    MAX_DELETED_NAMES,
    conflicts,
    deleted,
    faults_of,
    living,
    merged,
)
from bihuan_profile.domain.taxonomy import Tag, Taxonomy
from bihuan_profile.use_cases.ports import Backoff
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, ResourceExhausted
from bihuan_shared.targeting import is_private_name, namespace_in, namespace_of

MAX_AGE_S: Final = 1.0
"""A tag that was declared is known to every process after this long."""
MAX_HELD: Final = 4_096
"""Namespaces that a process remembers."""
MAX_ATTEMPTS: Final = 64


@dataclass(frozen=True, slots=True)
class HeldTags:
    """
    The tags of one namespace, and how often tags of each name were deleted.

    `version` is the sender's; `revision` changes with every write and is 0 for none.
    """

    tags: tuple[Tag, ...] = ()
    version: int = 0
    revision: int = 0
    lives: Mapping[str, int] = field(default_factory=dict)


NOTHING_HELD: Final = HeldTags()


class PrivateTagStore(Protocol):
    """Keeps private tags, by namespace. Every method raises Unavailable when the store does not answer in time."""

    async def read(self, namespaces: Sequence[str]) -> list[HeldTags]:
        """What is held of each namespace, in the same order."""
        ...

    async def compare_and_set(self, namespace: str, held: HeldTags) -> bool:
        """Write tags over `held.revision`; False where the revision has moved on."""
        ...

    async def epoch(self) -> str:
        """A name of the store's life: another one once it has lost what it held."""
        ...


@dataclass(slots=True)
class PrivateTags:
    """
    Private tags as this process knows them: what was read is believed for `MAX_AGE_S`.

    `monotonic` is in seconds. Namespaces of which nothing is known are remembered too.
    """

    store: PrivateTagStore
    monotonic: Callable[[], float]
    _held: dict[str, tuple[float, HeldTags]] = field(default_factory=dict)

    async def for_advertisers(self, platform: Taxonomy, advertiser_ids: Iterable[str]) -> Taxonomy:
        """The platform's taxonomy with the private tags of some advertisers. Raises Unavailable."""
        return await self._extended(platform, {namespace_of(one) for one in advertiser_ids})

    async def as_stored(self, platform: Taxonomy, advertiser_id: str) -> Taxonomy:
        """The same for one advertiser, read anew: for who has just declared a tag to another process."""
        self.forget(namespace_of(advertiser_id))
        return await self.for_advertisers(platform, [advertiser_id])

    async def for_names(self, platform: Taxonomy, names: Iterable[str]) -> Taxonomy:
        """The platform's taxonomy with whatever private tags some names may mean. Raises Unavailable."""
        return await self._extended(platform, {namespace_in(name) for name in names} - {""})

    async def _extended(self, platform: Taxonomy, namespaces: set[str]) -> Taxonomy:
        if not namespaces:
            return platform
        now_s = self.monotonic()
        known: list[HeldTags] = []
        stale = []
        for namespace in sorted(namespaces):
            read_s, held = self._held.get(namespace, (now_s - 2 * MAX_AGE_S, NOTHING_HELD))
            if now_s - read_s >= MAX_AGE_S:
                stale.append(namespace)
            else:
                known.append(held)
        if stale:
            for namespace, held in zip(stale, await self.store.read(stale), strict=True):
                self._remember(namespace, now_s, held)
                known.append(held)
        lives = {name: count for held in known for name, count in held.lives.items()}
        return platform.with_private([tag for held in known for tag in held.tags], lives)

    def _remember(self, namespace: str, read_s: float, held: HeldTags) -> None:
        self._held.pop(namespace, None)
        self._held[namespace] = (read_s, held)
        if len(self._held) > MAX_HELD:
            # The one that was read longest ago.
            del self._held[next(iter(self._held))]

    def forget(self, namespace: str) -> None:
        """Read a namespace anew when it is needed next."""
        self._held.pop(namespace, None)


async def put_tags(
    private: PrivateTags, backoff: Backoff, advertiser_id: str, version: int, tags: Sequence[Tag]
) -> int:
    """
    Declare private tags, all or none; how many are new or changed. Repeating it changes nothing.

    What has an older `version` than what was taken in changes nothing; 0 is of a sender that does not count. Raises
    InvalidArgument naming each wrong field, FailedPrecondition naming what may not change, ResourceExhausted where too
    many write at once, and Unavailable.
    """
    _refuse(InvalidArgument, faults_of(advertiser_id, tags))
    namespace = namespace_of(advertiser_id)
    for attempt in range(MAX_ATTEMPTS):
        (held,) = await private.store.read([namespace])
        if version and version < held.version:
            return 0
        known, declared = {tag.name: tag for tag in held.tags}, living(tags, held.lives)
        _refuse(FailedPrecondition, conflicts(known, declared))
        after, changed = merged(known, declared)
        if not changed and version <= held.version:
            return 0
        lives = {**held.lives, **{tag.name: tag.life for tag in declared if tag.life}}
        wanted = HeldTags(tuple(after.values()), max(version, held.version), held.revision, lives)
        if await private.store.compare_and_set(namespace, wanted):
            private.forget(namespace)
            return changed
        await backoff.pause(attempt)
    raise ResourceExhausted("the tags of this advertiser are written by too many at once; repeat the call")


async def delete_tags(
    private: PrivateTags, backoff: Backoff, advertiser_id: str, version: int, ended: Mapping[str, int]
) -> int:
    """
    End private tags, all or none; how many were there. Repeating it changes nothing.

    `ended` says how often the tag of each name was deleted by now; 0 is of a sender that does not count. `version` is
    as in `put_tags`. Raises InvalidArgument for names of others, FailedPrecondition for too many names,
    ResourceExhausted where too many write at once, and Unavailable.
    """
    namespace = namespace_of(advertiser_id)
    strange = [place for place, name in enumerate(ended) if not is_private_name(name, namespace)]
    _refuse(InvalidArgument, [(f"tags[{place}].name", f"must begin with {namespace}.") for place in strange])
    for attempt in range(MAX_ATTEMPTS):
        (held,) = await private.store.read([namespace])
        if version and version < held.version:
            return 0
        after, lives = deleted({tag.name: tag for tag in held.tags}, held.lives, ended)
        if len(lives) > MAX_DELETED_NAMES:
            _refuse(FailedPrecondition, [("tags", f"at most {MAX_DELETED_NAMES} names may be deleted")])
        if len(after) == len(held.tags) and lives == held.lives and version <= held.version:
            return 0
        wanted = HeldTags(tuple(after.values()), max(version, held.version), held.revision, lives)
        if await private.store.compare_and_set(namespace, wanted):
            private.forget(namespace)
            return len(held.tags) - len(after)
        await backoff.pause(attempt)
    raise ResourceExhausted("the tags of this advertiser are written by too many at once; repeat the call")


def _refuse(error: type[InvalidArgument | FailedPrecondition], faults: Sequence[tuple[str, str]]) -> None:
    if faults:
        violations = [FieldViolation(path, fault) for path, fault in faults]
        raise error(f"{violations[0].field}: {violations[0].description}", *violations)
