"""
Time as a port. Inside the code an instant is an int of microseconds since the epoch in UTC, named `*_time_us`.

In replay, every request brings its own time (`bihuan-time`); whoever receives it calls `set_replay_time_us`, and a
`ReplayClock` then answers with it for everything that runs in that request's context.
"""

import re
import threading
import time
from contextvars import ContextVar, Token
from datetime import UTC, datetime, timedelta, timezone
from typing import Final, Protocol

from google.protobuf.timestamp_pb2 import Timestamp

REPLAY_TIME_KEY: Final = "bihuan-time"
"""Name of the gRPC metadata key and of the HTTP header that carry the time of a replayed request."""

MICROS_PER_SECOND: Final = 1_000_000
SECOND_US: Final = MICROS_PER_SECOND
MINUTE_US: Final = 60 * SECOND_US
HOUR_US: Final = 60 * MINUTE_US
DAY_US: Final = 24 * HOUR_US

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_ONE_US: Final = timedelta(microseconds=1)
_NANOS_PER_MICRO: Final = 1_000
_RFC3339: Final = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)[Tt](\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d\d):(\d\d))", re.ASCII
)


class Clock(Protocol):
    """Where the current time comes from."""

    def now_us(self) -> int:
        """The current instant, in microseconds since the epoch, UTC."""
        ...


class SystemClock:
    """The machine's wall clock."""

    __slots__ = ()

    def now_us(self) -> int:
        """The current instant, in microseconds since the epoch, UTC."""
        return time.time_ns() // _NANOS_PER_MICRO


class FixedClock:
    """A clock that stands still until it is told to move."""

    __slots__ = ("_now_us",)

    def __init__(self, now_us: int) -> None:
        self._now_us = now_us

    def now_us(self) -> int:
        """The instant it stands at, in microseconds since the epoch, UTC."""
        return self._now_us

    def advance_us(self, delta_us: int) -> None:
        """Move by `delta_us` microseconds; negative moves back."""
        self._now_us += delta_us


class _HighestTime:
    """The latest replay time that this process was given; it never goes back."""

    __slots__ = ("_lock", "value_us")

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.value_us: int | None = None

    def raise_to(self, time_us: int) -> None:
        with self._lock:
            if self.value_us is None or time_us > self.value_us:
                self.value_us = time_us

    def forget(self) -> None:
        with self._lock:
            self.value_us = None


_request_time_us: ContextVar[int | None] = ContextVar("bihuan_replay_time_us", default=None)
_highest: Final = _HighestTime()


class ReplayClock:
    """
    The time of the request that is being replayed.

    Outside any request (background tasks) it is the highest time that any request of this process brought; before
    the first one it is the wall clock.
    """

    __slots__ = ()

    def now_us(self) -> int:
        """The replayed instant, in microseconds since the epoch, UTC."""
        request_us = _request_time_us.get()
        if request_us is not None:
            return request_us
        highest_us = _highest.value_us
        return SystemClock().now_us() if highest_us is None else highest_us


def set_replay_time_us(time_us: int) -> Token[int | None]:
    """Make `time_us` the time of the current context and return what `reset_replay_time` needs to undo that."""
    _highest.raise_to(time_us)
    return _request_time_us.set(time_us)


def reset_replay_time(token: Token[int | None]) -> None:
    """Undo one `set_replay_time_us` of the same context."""
    _request_time_us.reset(token)


def replay_time_us() -> int | None:
    """The replay time that the current context was given; None outside a replayed request."""
    return _request_time_us.get()


def forget_replay_time() -> None:
    """Forget the highest time seen, so that one test does not set the background time of the next."""
    _highest.forget()


def background_time_us(clock: Clock) -> int | None:
    """
    The time for work that nobody asked for, in microseconds since the epoch.

    None in a replay that has not begun: until a request brings a time, nobody knows what is due.
    """
    if isinstance(clock, ReplayClock) and replay_time_us() is None and _highest.value_us is None:
        return None
    return clock.now_us()


def clock_from(mode: str) -> Clock:
    """The clock that the setting `BIHUAN_CLOCK` names: `system` or `replay`. ValueError for anything else."""
    if mode == "system":
        return SystemClock()
    if mode == "replay":
        return ReplayClock()
    raise ValueError(f"clock must be 'system' or 'replay', not {mode!r}")


def parse_rfc3339_us(text: str) -> int:
    """
    Microseconds since the epoch of an RFC 3339 date-time such as `2017-08-15T12:00:00.25Z`.

    Any offset is understood; up to nine decimals are read and what is below a microsecond is cut off. ValueError for
    anything else, leap seconds and years outside 1 to 9999 included.
    """
    match = _RFC3339.fullmatch(text)
    if match is None:
        raise ValueError("not an RFC 3339 date-time such as 2017-08-15T12:00:00Z")
    year, month, day, hour, minute, second = (int(part) for part in match.groups()[:6])
    fraction, _, sign, offset_hours, offset_minutes = match.groups()[6:]
    micros = int((fraction or "").ljust(6, "0")[:6])
    instant = datetime(year, month, day, hour, minute, second, micros, tzinfo=UTC)
    offset = _offset(sign, offset_hours, offset_minutes)
    return (instant - _EPOCH - offset) // _ONE_US


def _offset(sign: str | None, hours: str | None, minutes: str | None) -> timedelta:
    if sign is None or hours is None or minutes is None:
        return timedelta(0)
    magnitude = timedelta(hours=int(hours), minutes=int(minutes))
    # timezone() refuses what is a day or more; RFC 3339 asks the same of minutes.
    timezone(magnitude)
    if minutes > "59":
        raise ValueError("an offset has at most 59 minutes")
    return magnitude if sign == "+" else -magnitude


def format_rfc3339(time_us: int) -> str:
    """The instant as RFC 3339 in UTC, with six decimals unless it is a whole second: `2017-08-15T12:00:00Z`."""
    instant = _EPOCH + timedelta(microseconds=time_us)
    timespec = "microseconds" if instant.microsecond else "seconds"
    return instant.replace(tzinfo=None).isoformat(timespec=timespec) + "Z"


def to_us(timestamp: Timestamp) -> int:
    """Microseconds since the epoch of a protobuf timestamp; what is below a microsecond is cut off."""
    return timestamp.seconds * MICROS_PER_SECOND + timestamp.nanos // _NANOS_PER_MICRO


def to_timestamp(time_us: int) -> Timestamp:
    """The protobuf timestamp of an instant in microseconds since the epoch."""
    seconds, micros = divmod(time_us, MICROS_PER_SECOND)
    return Timestamp(seconds=seconds, nanos=micros * _NANOS_PER_MICRO)
