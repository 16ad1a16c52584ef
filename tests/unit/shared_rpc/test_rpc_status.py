"""The table between errors, gRPC and HTTP is complete and crosses both ways."""

import re
from pathlib import Path

import grpc
import pytest
from grpc.aio import AioRpcError, Metadata

from bihuan.common.v1 import error_reason_pb2
from bihuan_shared import errors
from bihuan_shared.errors import BihuanError, FieldViolation, Internal, InvalidArgument, NotYet, Unavailable
from bihuan_shared.rpc.status import DETAILS_KEY, TABLE, from_rpc_error, grpc_code, http_status, to_grpc_status

_CLASSES = [c for c in vars(errors).values() if isinstance(c, type) and issubclass(c, BihuanError) and c != BihuanError]
_REASONS = {name.removeprefix("ERROR_REASON_") for name in error_reason_pb2.ErrorReason.keys()}  # noqa: SIM118
_SHARED = Path(errors.__file__).parent


def crossed(error: BihuanError) -> BihuanError:
    """The error as the other side of a call gets it."""
    raw = to_grpc_status(error).SerializeToString()
    return from_rpc_error(AioRpcError(grpc_code(error), Metadata(), Metadata((DETAILS_KEY, raw)), details=error.detail))


def test_every_error_class_has_one_row_and_one_code() -> None:
    assert {row.error for row in TABLE} == set(_CLASSES)
    assert len({row.code for row in TABLE}) == len(TABLE)


@pytest.mark.parametrize("cls", _CLASSES)
def test_error_crosses_grpc_unchanged(cls: type[BihuanError]) -> None:
    error = cls("what happened", FieldViolation("items[3].value", "is required"))
    other = crossed(error)
    assert type(other) is cls
    assert (other.detail, other.reason, other.violations) == (error.detail, error.reason, error.violations)
    assert 400 <= http_status(other) < 600


@pytest.mark.parametrize("code", [code for code in grpc.StatusCode if code is not grpc.StatusCode.OK])
def test_every_foreign_status_becomes_a_typed_error(code: grpc.StatusCode) -> None:
    error = from_rpc_error(AioRpcError(code, Metadata(), Metadata(), details="from a proxy"))
    assert type(error) in _CLASSES
    assert error.reason in _REASONS


def test_damaged_details_do_not_hide_the_class() -> None:
    error = from_rpc_error(
        AioRpcError(grpc.StatusCode.NOT_FOUND, Metadata(), Metadata((DETAILS_KEY, b"\xff\xff")), details="gone")
    )
    assert (type(error).__name__, error.reason) == ("NotFound", "NOT_FOUND")


def test_subclass_of_an_error_travels_as_its_class_with_its_reason() -> None:
    class TokenInvalid(InvalidArgument):
        default_reason = "TOKEN_INVALID"

    other = crossed(TokenInvalid("the token is damaged"))
    assert (type(other), other.reason) == (InvalidArgument, "TOKEN_INVALID")


def test_unreachable_service_says_nothing_of_its_address() -> None:
    failure = AioRpcError(grpc.StatusCode.UNAVAILABLE, Metadata(), Metadata(), details="connect 10.0.0.7:443 refused")
    error = from_rpc_error(failure)
    assert isinstance(error, Unavailable)
    assert "10.0.0.7" not in error.detail


def test_violations_are_bounded() -> None:
    many = [FieldViolation(f"items[{i}]", "is wrong") for i in range(100)]
    assert len(crossed(InvalidArgument("wrong", *many)).violations) == 32


def test_every_reason_in_the_code_stands_in_the_contract() -> None:
    used = {cls.default_reason for cls in _CLASSES}
    for source in _SHARED.rglob("*.py"):
        used.update(re.findall(r'(?:reason=|default_reason(?:: [\w\[\]]+)? = )"([A-Z_]+)"', source.read_text()))
    assert used <= _REASONS


def test_short_form_names_the_field() -> None:
    error = InvalidArgument.of("items[0].id", "is unknown")
    assert error.violations == (FieldViolation("items[0].id", "is unknown"),)
    assert str(error) == "items[0].id: is unknown"
    assert "INVALID_FIELD" in repr(error)


def test_http_statuses_that_clients_rely_on() -> None:
    assert [http_status(e) for e in (InvalidArgument(""), NotYet(""), Unavailable(""), Internal(""))] == [
        400,
        501,
        503,
        500,
    ]
