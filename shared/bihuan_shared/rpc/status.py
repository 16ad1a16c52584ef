"""The one table between errors, gRPC and HTTP."""

from dataclasses import dataclass

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2

from bihuan_shared.errors import (
    AlreadyExists,
    BihuanError,
    DeadlineExceeded,
    FailedPrecondition,
    FieldViolation,
    Internal,
    InvalidArgument,
    NotFound,
    NotYet,
    PermissionDenied,
    ResourceExhausted,
    Unauthenticated,
    Unavailable,
)

DOMAIN = "bihuan"
DETAILS_KEY = "grpc-status-details-bin"
_MAX_VIOLATIONS = 32
# Trailers beyond 8 KB are dropped by clients with default settings, and the whole status with them.
_MAX_VIOLATION_BYTES = 3_072
_MAX_DETAIL_CHARACTERS = 256


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table."""

    error: type[BihuanError]
    code: grpc.StatusCode
    http_status: int


TABLE = (
    Row(InvalidArgument, grpc.StatusCode.INVALID_ARGUMENT, 400),
    Row(Unauthenticated, grpc.StatusCode.UNAUTHENTICATED, 401),
    Row(PermissionDenied, grpc.StatusCode.PERMISSION_DENIED, 403),
    Row(NotFound, grpc.StatusCode.NOT_FOUND, 404),
    Row(AlreadyExists, grpc.StatusCode.ALREADY_EXISTS, 409),
    Row(FailedPrecondition, grpc.StatusCode.FAILED_PRECONDITION, 409),
    Row(ResourceExhausted, grpc.StatusCode.RESOURCE_EXHAUSTED, 429),
    Row(Unavailable, grpc.StatusCode.UNAVAILABLE, 503),
    # 503 and not 504: the client may repeat the call, which is all that it needs to know.
    Row(DeadlineExceeded, grpc.StatusCode.DEADLINE_EXCEEDED, 503),
    Row(NotYet, grpc.StatusCode.UNIMPLEMENTED, 501),
    Row(Internal, grpc.StatusCode.INTERNAL, 500),
)
_BY_ERROR = {row.error: row for row in TABLE}
_BY_CODE = {row.code: row.error for row in TABLE} | {
    # Codes that no service of ours answers, but libraries and proxies on the way do.
    grpc.StatusCode.ABORTED: Unavailable,
    grpc.StatusCode.CANCELLED: Unavailable,
    grpc.StatusCode.OUT_OF_RANGE: InvalidArgument,
    grpc.StatusCode.UNKNOWN: Internal,
    grpc.StatusCode.DATA_LOSS: Internal,
}


def row_of(error: BihuanError) -> Row:
    """The line of an error's class, or of the nearest class above it."""
    for cls in type(error).__mro__:
        row = _BY_ERROR.get(cls)
        if row is not None:
            return row
    return _BY_ERROR[Internal]


def grpc_code(error: BihuanError) -> grpc.StatusCode:
    """Status code that the error crosses gRPC with."""
    return row_of(error).code


def http_status(error: BihuanError) -> int:
    """Status that the gateway answers with."""
    return row_of(error).http_status


def to_grpc_status(error: BihuanError, *, trace_id: str | None = None) -> status_pb2.Status:
    """
    The error as `google.rpc.Status`: ErrorInfo with reason and domain, and BadRequest where fields are at fault.

    `trace_id` (hex) is put into the ErrorInfo's metadata, so that a caller can name the log line.
    """
    status = status_pb2.Status(code=grpc_code(error).value[0], message=wire_detail(error))
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
    if trace_id is not None:
        info.metadata["trace_id"] = trace_id
    status.details.append(_pack(info))
    if error.violations:
        bad = error_details_pb2.BadRequest()
        for violation in error.violations[:_MAX_VIOLATIONS]:
            bad.field_violations.add(field=violation.field, description=violation.description)
            if bad.ByteSize() > _MAX_VIOLATION_BYTES:
                bad.field_violations.pop()
                break
        status.details.append(_pack(bad))
    return status


def wire_detail(error: BihuanError) -> str:
    """The error's text, cut to what fits into a trailer."""
    return error.detail[:_MAX_DETAIL_CHARACTERS]


def from_rpc_error(rpc_error: grpc.aio.AioRpcError) -> BihuanError:
    """
    The error that a failed call stands for.

    Statuses without our details (from proxies or the library itself) keep their class and get its default reason.
    """
    cls = _BY_CODE.get(rpc_error.code(), Internal)
    raw = next((value for key, value in rpc_error.trailing_metadata() or () if key == DETAILS_KEY), None)
    reason, violations = _read_details(raw) if isinstance(raw, bytes) else (None, ())
    if reason is None and cls is Unavailable:
        return Unavailable("the service does not answer", reason="STORE_UNAVAILABLE")
    return cls(rpc_error.details() or cls.default_reason, *violations, reason=reason)


def _pack(message: error_details_pb2.ErrorInfo | error_details_pb2.BadRequest) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(message)
    return packed


def _read_details(raw: bytes) -> tuple[str | None, tuple[FieldViolation, ...]]:
    status = status_pb2.Status()
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    try:
        status.ParseFromString(raw)
        for detail in status.details:
            if not detail.Unpack(info):
                detail.Unpack(bad)
    except DecodeError:  # what cannot be read tells nothing
        return None, ()
    violations = tuple(FieldViolation(v.field, v.description) for v in bad.field_violations)
    return (info.reason if info.domain == DOMAIN else None), violations
