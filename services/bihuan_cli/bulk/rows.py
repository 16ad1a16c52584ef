"""What a row of a file to load means: columns, checks, and the message that comes of it."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, NoReturn

import msgspec

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_shared.clock import parse_rfc3339_us, to_timestamp
from bihuan_shared.errors import InvalidArgument

WHO: Final = ("person_id", "namespace", "identifier")
EVENT: Final = ("event_id", "behaviour", "event_time", "tags", "currency", "amount_micros", "items")
ATTRIBUTE: Final = ("attribute", "value", "update_time", "origin")
CONSENT: Final = ("consent_purposes", "consent_data_classes", "consent_source")
COLUMNS: Final = (*WHO, *EVENT, *ATTRIBUTE, *CONSENT)
NO_CONSENT: Final = "NO_CONSENT"
INVALID_FIELD: Final = "INVALID_FIELD"
MAX_EVENT_ID_BYTES: Final = 128
_SEPARATOR: Final = "|"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_MIN_US: Final = -62_135_596_800_000_000
_MAX_US: Final = 253_402_300_799_999_999
"""What protobuf can hold: the years 1 to 9999."""
_FLAGS: Final = {"true": True, "false": False, "1": True, "0": False}


def _choices(names: Iterable[str], prefix: str) -> dict[str, int]:
    """Numbers of an enum by short name in lower case, without the one that is not used."""
    return {name.removeprefix(prefix).lower(): number for number, name in enumerate(names) if number}


_BEHAVIOURS: Final = _choices(common_pb2.Behaviour.keys(), "BEHAVIOUR_")
_PURPOSES: Final = _choices(common_pb2.Purpose.keys(), "PURPOSE_")
_DATA_CLASSES: Final = _choices(common_pb2.DataClass.keys(), "DATA_CLASS_")


@dataclass(frozen=True, slots=True)
class Rejection:
    """
    A row that was not taken in, and why.

    `reason` is a code; `detail` is for people. Neither repeats what stood in the row.
    """

    row: int
    field: str
    reason: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Identifier:
    """Whom a row is about, as the file says it; raw, so it is never printed or written."""

    namespace: str
    value: str


@dataclass(frozen=True, slots=True)
class LoadRow:
    """
    One row that is right as far as can be seen here.

    `who` is a person id or an identifier that identity has to resolve; `message` lacks the person until then.
    """

    row: int
    who: int | Identifier
    message: pb.BehaviourEvent | pb.AttributeUpdate


class _Purchased(msgspec.Struct, forbid_unknown_fields=True):
    category: str = ""
    brand: str = ""
    size: str = ""
    quantity: int = 1


_purchased: Final = msgspec.json.Decoder(list[_Purchased])


class _WrongError(Exception):
    def __init__(self, field: str, detail: str, reason: str = INVALID_FIELD) -> None:
        self.field, self.detail, self.reason = field, detail, reason


def check_columns(names: Sequence[str]) -> None:
    """Raises InvalidArgument where columns are unknown, occur twice, or are missing."""
    twice = sorted({name for name in names if names.count(name) > 1})
    unknown = [name for name in names if name not in COLUMNS]
    if twice:
        raise InvalidArgument.of("columns", f"occur twice: {', '.join(twice)}")
    if unknown:
        raise InvalidArgument.of("columns", f"unknown: {', '.join(map(repr, unknown))}; known are {', '.join(COLUMNS)}")
    missing = []
    if "person_id" not in names:
        missing += [name for name in ("namespace", "identifier") if name not in names]
    kinds = {"behaviour": ("event_id", "event_time"), "attribute": ("value", "update_time")}
    if not any(kind in names for kind in kinds):
        missing.append("behaviour or attribute")
    for kind, needed in kinds.items():
        missing += [name for name in needed if kind in names and name not in names]
    if "consent_purposes" not in names:
        missing.append("consent_purposes")
    if missing:
        raise InvalidArgument.of("columns", f"missing: {', '.join(missing)}")


class RowReader:
    """Turns rows into what is sent. `types` are those of the attributes of the taxonomy."""

    def __init__(self, types: Mapping[str, int]) -> None:
        self._types = types

    def read(self, number: int, cells: Mapping[str, object]) -> LoadRow | Rejection:
        """What row `number` (the first is 1) says, or why it says nothing."""
        try:
            consent = _consent(cells)
            about = [kind for kind in ("behaviour", "attribute") if _text(cells, kind)]
            if len(about) != 1:
                _wrong("behaviour", "exactly one of behaviour and attribute must be there")
            message = self._event(cells, consent) if about == ["behaviour"] else self._attribute(cells)
            return LoadRow(number, _who(cells), message)
        except _WrongError as wrong:
            return Rejection(number, wrong.field, wrong.reason, wrong.detail)

    def _event(self, cells: Mapping[str, object], consent: common_pb2.Consent) -> pb.BehaviourEvent:
        event_id = _needed(cells, "event_id")
        if len(event_id.encode()) > MAX_EVENT_ID_BYTES:
            _wrong("event_id", f"takes more than {MAX_EVENT_ID_BYTES} bytes")
        event = pb.BehaviourEvent(
            event_id=event_id,
            behaviour=common_pb2.Behaviour.ValueType(_choice(_BEHAVIOURS, "behaviour", _needed(cells, "behaviour"))),
            event_time=to_timestamp(_instant(cells, "event_time")),
            tags=_list(cells, "tags"),
            consent=consent,
            items=_items(cells),
        )
        currency, micros = _text(cells, "currency"), cells.get("amount_micros")
        if currency or micros not in (None, ""):
            if not currency:
                _wrong("currency", "must be there beside an amount")
            event.amount.currency, event.amount.micros = currency, _integer("amount_micros", micros, 0, 2**63 - 1)
        return event

    def _attribute(self, cells: Mapping[str, object]) -> pb.AttributeUpdate:
        name = _needed(cells, "attribute")
        kind = self._types.get(name)
        if kind is None:
            _wrong("attribute", "is no attribute of the taxonomy that can be set")
        attribute = pb.Attribute(name=name, update_time=to_timestamp(_instant(cells, "update_time")))
        value = cells.get("value")
        if value in (None, ""):
            _wrong("value", "is missing")
        if kind == pb.TAG_TYPE_FLAG:
            flag = value if isinstance(value, bool) else _FLAGS.get(str(value).strip().lower())
            if flag is None:
                _wrong("value", "must be true or false")
            attribute.flag = flag
        elif kind == pb.TAG_TYPE_NUMBER:
            attribute.number = _number("value", value)
        else:
            attribute.text = _text(cells, "value")
        return pb.AttributeUpdate(attributes=[attribute], origin=_text(cells, "origin"))


def _consent(cells: Mapping[str, object]) -> common_pb2.Consent:
    purposes = _list(cells, "consent_purposes")
    if not purposes:
        _wrong("consent_purposes", "nothing was agreed to", NO_CONSENT)
    return common_pb2.Consent(
        purposes=[common_pb2.Purpose.ValueType(_choice(_PURPOSES, "consent_purposes", name)) for name in purposes],
        data_classes=[
            common_pb2.DataClass.ValueType(_choice(_DATA_CLASSES, "consent_data_classes", name))
            for name in _list(cells, "consent_data_classes")
        ],
        source=_text(cells, "consent_source"),
    )


def _who(cells: Mapping[str, object]) -> int | Identifier:
    person_id = cells.get("person_id")
    namespace, value = _text(cells, "namespace"), _text(cells, "identifier")
    if person_id not in (None, ""):
        if namespace or value:
            _wrong("person_id", "must not be there beside an identifier")
        return _integer("person_id", person_id, 1, 2**64 - 1)
    if not namespace:
        _wrong("namespace", "is missing")
    if not value:
        _wrong("identifier", "is missing")
    return Identifier(namespace, value)


def _items(cells: Mapping[str, object]) -> Iterable[common_pb2.PurchasedItem]:
    value = cells.get("items")
    if value in (None, ""):
        return ()
    try:
        # A Parquet file may hold structs, a CSV file holds their JSON.
        found = msgspec.convert(value, list[_Purchased]) if isinstance(value, list) else _purchased.decode(str(value))
        return [common_pb2.PurchasedItem(**msgspec.structs.asdict(item)) for item in found]
    except (msgspec.MsgspecError, ValueError, UnicodeEncodeError):
        _wrong("items", "must be a JSON list of objects with category, brand, size and quantity")


def _wrong(field: str, detail: str, reason: str = INVALID_FIELD) -> NoReturn:
    raise _WrongError(field, detail, reason)


def _text(cells: Mapping[str, object], field: str) -> str:
    value = cells.get(field)
    if value is None:
        return ""
    if not isinstance(value, str):
        if isinstance(value, bool | int):
            return str(value)
        _wrong(field, "must be a text")
    if not value.isprintable():
        _wrong(field, "must be a text without control characters")
    return value.strip()


def _needed(cells: Mapping[str, object], field: str) -> str:
    return _text(cells, field) or _wrong(field, "is missing")


def _list(cells: Mapping[str, object], field: str) -> list[str]:
    value = cells.get(field)
    parts = value if isinstance(value, list) else _text(cells, field).split(_SEPARATOR)
    found = [_text({field: part}, field) for part in parts]
    return [part for part in found if part]


def _choice(choices: Mapping[str, int], field: str, name: str) -> int:
    number = choices.get(name.lower())
    return number or _wrong(field, f"is none of: {', '.join(choices)}")


def _integer(field: str, value: object, least: int, most: int) -> int:
    try:
        number = value if isinstance(value, int) and not isinstance(value, bool) else int(str(value).strip())
    except ValueError:
        _wrong(field, "must be a whole number")
    return number if least <= number <= most else _wrong(field, f"must be between {least} and {most}")


def _number(field: str, value: object) -> float:
    try:
        number = math.nan if isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else _wrong(field, "must be a finite number")


def _instant(cells: Mapping[str, object], field: str) -> int:
    """Microseconds since the epoch: of a timestamp, of RFC 3339, or as they are."""
    value = cells.get(field)
    if isinstance(value, datetime):
        time_us = ((value if value.tzinfo else value.replace(tzinfo=UTC)) - _EPOCH) // _MICROSECOND
    else:
        text = _needed(cells, field)
        try:
            time_us = int(text) if text.lstrip("-").isdecimal() else parse_rfc3339_us(text)
        except ValueError:
            _wrong(field, "must be an RFC 3339 date-time or microseconds since 1970")
    return time_us if _MIN_US <= time_us <= _MAX_US else _wrong(field, "is outside of the years 1 to 9999")
