"""What a linkage compares: columns, what kind of content each has, and how candidates are found."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

import msgspec

from bihuan_shared.errors import InvalidArgument

FEWEST_COLUMNS: Final = 2
MOST_COLUMNS: Final = 32
PAIRS_A_RECORD: Final = 10
"""How many candidate pairs a record may cause by one blocking rule, on average."""


class ColumnKind(StrEnum):
    """How values of a column are compared."""

    NAME = "name"
    """Words that are misspelt or shortened: names of people."""
    TEXT = "text"
    """Words of places and streets."""
    DATE = "date"
    """A date in any one notation; a wrong digit or two makes a near match."""
    CODE = "code"
    """Postcodes, house numbers, telephone numbers and the like; one wrong character makes a near match."""
    CATEGORY = "category"
    """One of few values; equal or not."""


_KINDS_BY_NAME: Final = (
    (re.compile(r"((given|first|fore|middle|sur|last|family|full|maiden)_?)?name|forename"), ColumnKind.NAME),
    (re.compile(r"date_of_birth|dob|birth_?(date|day)"), ColumnKind.DATE),
    (re.compile(r"(street|house|flat|unit)_(number|no)|post_?(al_?)?code|zip(_?code)?"), ColumnKind.CODE),
    (re.compile(r"e_?mail(_address)?|((tele|mobile_?)?phone|mobile)(_number)?"), ColumnKind.CODE),
    (re.compile(r"address(_?(line_?)?\d)?|street(_name)?|suburb|city|town|district|village"), ColumnKind.TEXT),
    (re.compile(r"state|province|county|region|country|gender|sex"), ColumnKind.CATEGORY),
)


@dataclass(frozen=True, slots=True)
class ComparedColumn:
    """A column of the files, its kind, and the name that it has inside the job."""

    source: str
    name: str
    kind: ColumnKind


@dataclass(frozen=True, slots=True)
class LinkageSpec:
    """
    What is compared and how candidates are found.

    `blocking` holds rules as tuples of names inside the job: records that agree on all columns of a rule become a
    candidate. Empty means: choose rules by how many pairs each makes, at most `pairs_a_record` a record.
    """

    columns: tuple[ComparedColumn, ...]
    blocking: tuple[tuple[str, ...], ...] = ()
    pairs_a_record: int = PAIRS_A_RECORD


class _SpecFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The JSON form of a spec; columns by their names in the files."""

    columns: dict[str, ColumnKind]
    blocking: list[list[str]] = msgspec.field(default_factory=list)
    pairs_a_record: int = PAIRS_A_RECORD


def infer_spec(column_names: Sequence[str]) -> LinkageSpec:
    """
    Compare every column whose name tells what it holds; the others are left out.

    Raises InvalidArgument (`columns`) where fewer than two are left.
    """
    return _spec({name: kind for name in column_names if (kind := _kind_by_name(name)) is not None}, ())


def read_spec(path: Path, column_names: Sequence[str]) -> LinkageSpec:
    """
    Read a JSON spec: `{"columns": {"surname": "name", …}, "blocking": [["postcode", "surname"], …]}`.

    Raises InvalidArgument that names the field where it is malformed or names a column that the files lack.
    """
    try:
        stated = msgspec.json.decode(path.read_bytes(), type=_SpecFile)
    except OSError as error:
        raise InvalidArgument.of("spec", f"{path} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidArgument.of("spec", str(error)) from None
    for name in stated.columns:
        if name not in column_names:
            raise InvalidArgument.of(f"spec.columns.{name}", "is not a column of the files")
    for at, rule in enumerate(stated.blocking):
        if not rule or any(name not in stated.columns for name in rule):
            raise InvalidArgument.of(f"spec.blocking[{at}]", "must name one or more of the spec's columns")
    if stated.pairs_a_record < 1:
        raise InvalidArgument.of("spec.pairs_a_record", "must be positive")
    rules = tuple(tuple(_inside(name) for name in rule) for rule in stated.blocking)
    return _spec(stated.columns, rules, stated.pairs_a_record)


def _spec(
    kinds: Mapping[str, ColumnKind], blocking: tuple[tuple[str, ...], ...], pairs_a_record: int = PAIRS_A_RECORD
) -> LinkageSpec:
    columns = tuple(ComparedColumn(name, _inside(name), kind) for name, kind in kinds.items())
    if not FEWEST_COLUMNS <= len(columns) <= MOST_COLUMNS:
        detail = (
            f"{FEWEST_COLUMNS} to {MOST_COLUMNS} columns can be compared, found {len(columns)}; state them in a spec"
        )
        raise InvalidArgument.of("columns", detail)
    if len({column.name for column in columns}) < len(columns):
        raise InvalidArgument.of("columns", "two of them differ only in punctuation or case")
    return LinkageSpec(columns, blocking, pairs_a_record)


def _kind_by_name(name: str) -> ColumnKind | None:
    plain = re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
    return next((kind for pattern, kind in _KINDS_BY_NAME if pattern.fullmatch(plain)), None)


def _inside(name: str) -> str:
    """A name that is no keyword of any engine and clashes with none of Splink's own."""
    return "f_" + re.sub(r"[^a-z0-9]+", "_", name.strip().lower()).strip("_")
