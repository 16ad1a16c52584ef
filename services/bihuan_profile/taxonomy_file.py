"""The taxonomy's file: YAML, checked whole before anything is served."""

import hashlib
from collections.abc import Hashable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Annotated, Final, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, StrictBool, StrictInt, StringConstraints, ValidationError

from bihuan_profile.domain.governance import DataClass, Purpose
from bihuan_profile.domain.taxonomy import BehaviourKind, Tag, TagType, Taxonomy
from bihuan_shared.clock import DAY_US
from bihuan_shared.targeting import RESERVED_WORDS

PACKAGED: Final = Path(__file__).with_name("taxonomy.yaml")
LANGUAGES: Final = ("en", "zh")
"""Every tag has a name to show in each of these."""
MAX_BYTES: Final = 1_048_576
_NAME: Final = r"^[a-z][a-z0-9_]{0,63}$"

_Days = Annotated[StrictInt, Field(ge=0, le=3650)]
_ClassName = Literal["registration", "operation", "transaction", "social"]
_Shown = Annotated[str, StringConstraints(min_length=1, max_length=64)]


class TaxonomyInvalidError(ValueError):
    """A taxonomy's file is wrong; the text has a line a fault, which begins with the path in the file."""


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, hide_input_in_errors=True)


class _TagEntry(_Strict):
    name: Annotated[str, StringConstraints(pattern=_NAME)]
    type: Literal["text", "number", "flag", "interest"]
    data_class: _ClassName
    purposes: tuple[Literal["targeting", "personalisation", "measurement", "insight"], ...]
    display_names: Mapping[str, _Shown]
    description: Annotated[str, StringConstraints(min_length=1, max_length=256)]
    values: Annotated[
        tuple[Annotated[str, StringConstraints(min_length=1, max_length=128)], ...], Field(max_length=256)
    ] = ()
    retention_days: _Days = 0
    half_life_days: Annotated[float, Field(ge=0, le=3650)] = 0
    iab_audience_id: Annotated[StrictInt, Field(ge=0)] = 0
    derived: StrictBool = False

    def tag(self) -> Tag:
        return Tag(
            name=self.name,
            type=TagType[self.type.upper()],
            data_class=DataClass[self.data_class.upper()],
            purposes=frozenset(Purpose[purpose.upper()] for purpose in self.purposes),
            description=self.description,
            values=self.values,
            retention_us=self.retention_days * DAY_US,
            half_life_us=round(self.half_life_days * DAY_US),
            display_names=dict(self.display_names),
            iab_audience_id=self.iab_audience_id,
            derived=self.derived,
        )

    def faults(self) -> Iterator[tuple[str, str]]:
        """What the types of the fields cannot say: the field, and what is wrong."""
        if self.name in RESERVED_WORDS and self.type != "interest":
            yield "name", "is a word of the targeting language"
        if not self.purposes:
            yield "purposes", "names none"
        if len(set(self.purposes)) < len(self.purposes):
            yield "purposes", "names one twice"
        if self.values and self.type != "text":
            yield "values", f"a {self.type} has none"
        if len(set(self.values)) < len(self.values):
            yield "values", "names one twice"
        for language in LANGUAGES:
            if language not in self.display_names:
                yield f"display_names.{language}", "is missing"


class _File(_Strict):
    version: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,31}$")]
    behaviour_retention_days: Mapping[BehaviourKind, Mapping[_ClassName, _Days]] = Field(default_factory=dict)
    usual_replacement_days: Mapping[
        Annotated[str, StringConstraints(min_length=1, max_length=96)], Annotated[StrictInt, Field(ge=1, le=36_500)]
    ] = Field(default_factory=dict)
    tags: tuple[_TagEntry, ...]

    def faults(self) -> Iterator[tuple[str, str]]:
        if not self.tags:
            yield "tags", "has none"
        seen: dict[str, int] = {}
        for index, tag in enumerate(self.tags):
            if seen.setdefault(tag.name, index) != index:
                yield f"tags[{index}].name", f"is that of tags[{seen[tag.name]}] too"
            yield from ((f"tags[{index}].{field}", fault) for field, fault in tag.faults())


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # one of two classes
    """Reads plain data only, and no name twice: the later one would silently win."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, object]:  # noqa: FBT001, FBT002  # as it is overridden
        names = [key.value for key, _ in node.value]
        for name in names:
            if names.count(name) > 1:
                raise yaml.constructor.ConstructorError(None, None, f"{name!r} stands here twice", node.start_mark)
        made: dict[Hashable, object] = super().construct_mapping(node, deep=deep)
        return made


def load_taxonomy(path: Path | None = None) -> Taxonomy:
    """
    The taxonomy that a file declares; the one that comes with this package where none is named.

    Raises TaxonomyInvalidError naming every fault by its path in the file.
    """
    source = path or PACKAGED
    try:
        raw = source.read_bytes()
    except OSError as error:
        raise TaxonomyInvalidError(f"{source}: cannot be read: {error.strerror}") from error
    return parse_taxonomy(raw)


@cache
def packaged_taxonomy() -> Taxonomy:
    """The taxonomy that comes with this package."""
    return load_taxonomy()


def parse_taxonomy(raw: bytes) -> Taxonomy:
    """
    The taxonomy that a YAML text declares.

    Its version is that of the file with a digest of the content, so that no two contents share one. Raises
    TaxonomyInvalidError.
    """
    if len(raw) > MAX_BYTES:
        raise TaxonomyInvalidError(f"$: has more than {MAX_BYTES} bytes")
    try:
        parsed: object = yaml.load(raw, _Loader)  # noqa: S506  # made from a safe loader
    except yaml.YAMLError as error:
        raise TaxonomyInvalidError(f"$: {_in_one_line(error)}") from error
    try:
        file = _File.model_validate(parsed)
    except ValidationError as error:
        raise TaxonomyInvalidError(_told((_path(one["loc"]), one["msg"]) for one in error.errors())) from None
    faults = list(file.faults())
    if faults:
        raise TaxonomyInvalidError(_told(iter(faults)))
    content = file.model_dump_json().encode()
    return Taxonomy(
        (entry.tag() for entry in file.tags),
        version=f"{file.version}+{hashlib.sha256(content).hexdigest()[:12]}",
        behaviour_retention_us={
            (kind, DataClass[name.upper()]): days * DAY_US
            for kind, by_class in file.behaviour_retention_days.items()
            for name, days in by_class.items()
        },
        usual_replacement_us={name: days * DAY_US for name, days in file.usual_replacement_days.items()},
    )


def _told(faults: Iterator[tuple[str, str]]) -> str:
    return "\n".join(f"{path}: {fault}" for path, fault in faults)


def _path(steps: tuple[int | str, ...]) -> str:
    path = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)
    return path.removeprefix(".") or "$"


def _in_one_line(error: yaml.YAMLError) -> str:
    return " ".join(str(error).split())
