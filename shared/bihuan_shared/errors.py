"""The one typed error family. It crosses gRPC by the table of `bihuan_shared.rpc.status`; the gateway renders it."""

from dataclasses import dataclass
from typing import ClassVar, Self


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """
    One field at fault.

    `field` is a path from the request's root, such as `items[3].identifiers[0].value`.
    """

    field: str
    description: str


class BihuanError(Exception):
    """
    What every failure that may leave a service is; only the subclasses are raised.

    `reason` is a value of `bihuan.common.v1.ErrorReason` without its prefix; clients may switch on it. `detail` is for
    people and must carry neither identifiers nor internals.
    """

    default_reason: ClassVar[str] = "INTERNAL"

    def __init__(self, detail: str, *violations: FieldViolation, reason: str | None = None) -> None:
        super().__init__(detail)
        self.detail = detail
        self.violations = violations
        self.reason = reason or self.default_reason

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.detail!r}, reason={self.reason!r}, violations={self.violations!r})"


class InvalidArgument(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The request is wrong whatever the state of the system."""

    default_reason = "INVALID_FIELD"

    @classmethod
    def of(cls, field: str, description: str) -> Self:
        """One field at fault, in short."""
        return cls(f"{field}: {description}", FieldViolation(field, description))


class Unauthenticated(BihuanError):  # noqa: N818  # named as the status that it becomes
    """No credential, or one that is not known."""

    default_reason = "UNKNOWN_CALLER"


class PermissionDenied(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The caller is known and may not do this."""

    default_reason = "ROLE_NOT_ALLOWED"


class NotFound(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The named thing does not exist, or not for this caller."""

    default_reason = "NOT_FOUND"


class AlreadyExists(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The id was used before with another content."""

    default_reason = "CONTENT_CONFLICT"


class FailedPrecondition(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The state of the thing does not allow this; repeating the call changes nothing."""

    default_reason = "FAILED_PRECONDITION"


class ResourceExhausted(BihuanError):  # noqa: N818  # named as the status that it becomes
    """A bound was reached; the same call may succeed later."""

    default_reason = "OVERLOADED"


class Unavailable(BihuanError):  # noqa: N818  # named as the status that it becomes
    """Something that the call needs does not answer; the same call may succeed later."""

    default_reason = "STORE_UNAVAILABLE"


class DeadlineExceeded(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The caller's time ran out; whether the call took effect is not known."""

    default_reason = "DEADLINE_EXCEEDED"


class NotYet(BihuanError):  # noqa: N818  # named as the status that it becomes
    """The method stands in the contract and is not built yet."""

    default_reason = "NOT_YET"


class Internal(BihuanError):  # noqa: N818  # named as the status that it becomes
    """Something inside failed; the log holds the cause, the caller does not get it."""

    default_reason = "INTERNAL"
