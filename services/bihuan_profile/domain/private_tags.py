"""Private tags: what an advertiser may declare in its own namespace, and what it may not change any more."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

from bihuan_profile.domain.governance import DataClass
from bihuan_profile.domain.taxonomy import Tag, TagType
from bihuan_shared.targeting import is_private_name, namespace_of

MAX_PRIVATE_TAGS: Final = 256
"""Tags of one advertiser."""
MAX_DELETED_NAMES: Final = 4_096
"""Names of one advertiser that it is known of how often tags of them were deleted."""
MAX_LANGUAGES: Final = 8
MAX_DISPLAY_NAME: Final = 64
MAX_IAB_ID: Final = 2**31 - 1

_LANGUAGE: Final = re.compile(r"[a-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,3}")

Fault = tuple[str, str]
"""The field of a tag that is wrong, and how."""


def faults_of(advertiser_id: str, tags: Sequence[Tag]) -> list[Fault]:
    """What is wrong with the tags that an advertiser declares, each as a path such as `tags[3].name` and a text."""
    found: list[Fault] = []
    namespace = namespace_of(advertiser_id)
    names: set[str] = set()
    for index, tag in enumerate(tags):
        found.extend((f"tags[{index}].{field}", fault) for field, fault in _faults(tag, namespace, advertiser_id))
        if tag.name in names:
            found.append((f"tags[{index}].name", "stands twice"))
        names.add(tag.name)
    return found


def _faults(tag: Tag, namespace: str, advertiser_id: str) -> Iterator[Fault]:
    if not is_private_name(tag.name, namespace):
        yield "name", f"must be {namespace}. and a name of lower-case letters, digits and underscores"
    if tag.type is TagType.INTEREST:
        yield "type", "must be a text, a number or a flag"
    if tag.data_class is DataClass.SOCIAL:
        yield "data_class", "must not be social: what relations show is of the platform"
    if not tag.purposes:
        yield "purposes", "names none"
    if tag.values and tag.type is not TagType.TEXT:
        yield "values", "only a text has values"
    if len(set(tag.values)) < len(tag.values) or "" in tag.values:
        yield "values", "must differ and not be empty"
    if tag.derived:
        yield "derived", "only rules of the platform make tags"
    if tag.advertiser_id != advertiser_id:
        yield "advertiser_id", "is another's"
    if not 0 <= tag.iab_audience_id <= MAX_IAB_ID:
        yield "iab_audience_id", "must not be negative"
    yield from _faults_of_names(tag.display_names)


def _faults_of_names(names: Mapping[str, str]) -> Iterator[Fault]:
    if len(names) > MAX_LANGUAGES:
        yield "display_names", f"must be in {MAX_LANGUAGES} languages at most"
    for language, name in names.items():
        if not _LANGUAGE.fullmatch(language):
            yield "display_names", "must be by language, such as en or zh"
        elif not name or len(name) > MAX_DISPLAY_NAME:
            yield f"display_names.{language}", f"must have 1 to {MAX_DISPLAY_NAME} characters"


def conflicts(known: Mapping[str, Tag], tags: Sequence[Tag]) -> list[Fault]:
    """
    What stands against taking tags in beside those that are known: a changed type or class, or too many.

    Values of the old type or class may be kept and told already, so both stay for the tag's life.
    """
    found: list[Fault] = []
    for index, tag in enumerate(tags):
        old = known.get(tag.name)
        if old is not None and old.life != tag.life:
            continue
        if old is not None and old.type is not tag.type:
            found.append((f"tags[{index}].type", f"cannot be changed; it is a {old.type.name.lower()}"))
        if old is not None and old.data_class is not tag.data_class:
            found.append((f"tags[{index}].data_class", f"cannot be changed; it is {old.data_class.name.lower()}"))
    if len(known.keys() | {tag.name for tag in tags}) > MAX_PRIVATE_TAGS:
        found.append(("tags", f"an advertiser has at most {MAX_PRIVATE_TAGS} tags"))
    return found


def living(tags: Sequence[Tag], lives: Mapping[str, int]) -> list[Tag]:
    """The tags in the life that theirs is at least, after tags of their names were deleted so often."""
    return [replace(tag, life=max(tag.life, lives.get(tag.name, 0))) for tag in tags]


def deleted(
    known: Mapping[str, Tag], lives: Mapping[str, int], ended: Mapping[str, int]
) -> tuple[Mapping[str, Tag], Mapping[str, int]]:
    """
    The tags that are left, and how often those of each name were deleted, after some end.

    `ended` says how often each was deleted by now; 0 is of who does not count, and ends the life that is known.
    """
    after = dict(lives)
    for name, count in ended.items():
        past = lives.get(name, 0)
        after[name] = max(past, count or (past + 1 if name in known else past))
    return {name: tag for name, tag in known.items() if tag.life >= after.get(name, 0)}, {
        name: count for name, count in after.items() if count
    }


def merged(known: Mapping[str, Tag], tags: Sequence[Tag]) -> tuple[Mapping[str, Tag], int]:
    """The tags after more were declared, and how many of these are new or changed."""
    after = {**known, **{tag.name: tag for tag in tags}}
    return after, sum(known.get(tag.name) != tag for tag in tags)
