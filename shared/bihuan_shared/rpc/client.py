"""
The one client assembly: a channel whose calls carry deadline, credential, replay time and trace, and fail typed.

It wraps the library's channel instead of stacking interceptors, each of which costs a task a call. Stubs take it as
any other channel. Unary answers are awaited, streamed ones iterated; every failure is a BihuanError.
"""

import random
from collections.abc import Sequence
from types import TracebackType
from typing import Self, cast

import grpc

from bihuan_shared.rpc.outgoing import Link, Peer, Starter

MAX_MESSAGE_BYTES = 32 * 1024 * 1024
_OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    ("grpc.keepalive_time_ms", 10_000),
    ("grpc.keepalive_timeout_ms", 5_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A service that restarts is found again within two seconds.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels to one target must not share a connection, so that closing one never hurts another.
    ("grpc.use_local_subchannel_pool", 1),
)


def channel_credentials() -> grpc.ChannelCredentials | None:
    """How connections are secured; None means plain text, for loopback and meshes that encrypt themselves."""
    return None


def open_channel(
    target: str,
    *,
    secret: str,
    service: str,
    options: Sequence[tuple[str, object]] = (),
    randomness: random.Random | None = None,
) -> grpc.aio.Channel:
    """
    A channel to `target` (host:port or any gRPC name), which connects when it is first used.

    `secret` is the caller's credential; `service` names the called service in metrics, for example `identity`. Calls
    get the smaller of their own timeout (10 s where none is given) and what is left of the running call. Methods that
    their proto calls idempotent are repeated when the service does not answer, at most twice and within 10 % of all
    calls; `randomness` spreads the repetitions. Must be called where an event loop runs.
    """
    credentials = channel_credentials()
    wire = (*_OPTIONS, *options)
    if credentials is None:
        channel = grpc.aio.insecure_channel(target, options=wire)
    else:
        channel = grpc.aio.secure_channel(target, credentials, options=wire)
    return _Channel(channel, Peer(service, secret, randomness or random.SystemRandom()))


class _Channel(grpc.aio.Channel):
    """The library's channel with our calls on it."""

    def __init__(self, channel: grpc.aio.Channel, peer: Peer) -> None:
        self._channel = channel
        self._peer = peer

    def unary_unary(self, method: str, *args: object, **kwargs: object) -> grpc.aio.UnaryUnaryMultiCallable:  # type: ignore[type-arg]  # passes on whatever generated code gives
        start = cast("Starter", self._channel.unary_unary(method, *args, **kwargs))  # type: ignore[arg-type]  # as above
        return cast("grpc.aio.UnaryUnaryMultiCallable", Link(method, start, self._peer).ask)  # type: ignore[type-arg]  # as above

    def stream_unary(self, method: str, *args: object, **kwargs: object) -> grpc.aio.StreamUnaryMultiCallable:  # type: ignore[type-arg]  # as above
        start = cast("Starter", self._channel.stream_unary(method, *args, **kwargs))  # type: ignore[arg-type]  # as above
        return cast("grpc.aio.StreamUnaryMultiCallable", Link(method, start, self._peer).send_stream)  # type: ignore[type-arg]  # as above

    def unary_stream(self, method: str, *args: object, **kwargs: object) -> grpc.aio.UnaryStreamMultiCallable:  # type: ignore[type-arg]  # as above
        start = cast("Starter", self._channel.unary_stream(method, *args, **kwargs))  # type: ignore[arg-type]  # as above
        return cast("grpc.aio.UnaryStreamMultiCallable", Link(method, start, self._peer).receive_stream)  # type: ignore[type-arg]  # as above

    def stream_stream(self, method: str, *args: object, **kwargs: object) -> grpc.aio.StreamStreamMultiCallable:  # type: ignore[type-arg]  # as above
        start = cast("Starter", self._channel.stream_stream(method, *args, **kwargs))  # type: ignore[arg-type]  # as above
        return cast("grpc.aio.StreamStreamMultiCallable", Link(method, start, self._peer).receive_stream)  # type: ignore[type-arg]  # as above

    async def close(self, grace: float | None = None) -> None:
        await self._channel.close(grace)

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:  # noqa: FBT001, FBT002  # as declared
        return self._channel.get_state(try_to_connect)

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        await self._channel.wait_for_state_change(last_observed_state)

    async def channel_ready(self) -> None:
        await self._channel.channel_ready()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc_val: BaseException | None, exc_tb: TracebackType | None
    ) -> None:
        await self.close()
