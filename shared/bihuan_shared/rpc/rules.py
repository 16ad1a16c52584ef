"""What a single value may be: functions that are made once for a field's type and rules."""

import math
import re
from collections.abc import Callable
from typing import cast

from google.protobuf.descriptor import FieldDescriptor

from bihuan.common.v1 import options_pb2

DEFAULT_MAX_ITEMS = 1_000
DEFAULT_MAX_STRING_BYTES = 1_024
DEFAULT_MAX_BYTES = 65_536
_MAX_UTF8_BYTES = 4

Judge = Callable[[object], str | None]
"""Answers what is wrong with a value, or None. The value is of the field's own type; protobuf has seen to that."""


def judge_of_scalar(field: FieldDescriptor, rules: options_pb2.FieldRules) -> Judge | None:
    """The judge of one value of a field (of one element, where it is repeated); None where every value is right."""
    least = rules.min if rules.HasField("min") else -math.inf
    most = rules.max if rules.HasField("max") else math.inf
    if field.type == FieldDescriptor.TYPE_STRING:
        judge: Judge | None = _string_judge(rules.max_bytes or DEFAULT_MAX_STRING_BYTES, rules.pattern)
    elif field.type == FieldDescriptor.TYPE_BYTES:
        judge = _bytes_judge(rules.max_bytes or DEFAULT_MAX_BYTES)
    elif field.enum_type is not None:
        judge = _enum_judge(frozenset(field.enum_type.values_by_number))
    elif field.cpp_type in (FieldDescriptor.CPPTYPE_DOUBLE, FieldDescriptor.CPPTYPE_FLOAT):
        judge = _float_judge(least, most)
    else:
        judge = None if math.isinf(least) and math.isinf(most) else _int_judge(least, most)
    return judge


def _string_judge(max_bytes: int, pattern: str) -> Judge:
    fullmatch = re.compile(pattern).fullmatch if pattern else None
    surely_short = max_bytes // _MAX_UTF8_BYTES

    def judge(value: str) -> str | None:
        if len(value) > surely_short and len(value.encode()) > max_bytes:
            return f"is longer than {max_bytes} bytes"
        if "\0" in value:
            return "contains a NUL character, which not every store can hold"
        if fullmatch is not None and value and fullmatch(value) is None:
            return f"does not match {pattern}"
        return None

    return cast("Judge", judge)


def _bytes_judge(max_bytes: int) -> Judge:
    def judge(value: bytes) -> str | None:
        return f"is longer than {max_bytes} bytes" if len(value) > max_bytes else None

    return cast("Judge", judge)


def _enum_judge(numbers: frozenset[int]) -> Judge:
    def judge(value: object) -> str | None:
        return None if value in numbers else f"{value} is not a value of this enum"

    return judge


def _float_judge(least: float, most: float) -> Judge:
    def judge(value: float) -> str | None:
        if not math.isfinite(value):
            return "is not a finite number"
        return _range(value, least, most)

    return cast("Judge", judge)


def _int_judge(least: float, most: float) -> Judge:
    def judge(value: int) -> str | None:
        return _range(value, least, most)

    return cast("Judge", judge)


def _range(value: float, least: float, most: float) -> str | None:
    if value < least:
        return f"must be at least {least:g}"
    if value > most:
        return f"must be at most {most:g}"
    return None
