"""
Profiles as they are usually kept, to compare with: one hash a person, one field a tag, one HGETALL a read.

It does nothing else: no consent, no decay, no counts of behaviour, no callers, no telemetry.
"""

import sys
from asyncio import Event
from typing import Final

import grpc
import msgspec
import uvloop
from redis.asyncio import Redis

from bihuan.profile.v1 import profile_pb2 as pb
from bihuan.profile.v1.profile_pb2_grpc import ProfileServiceServicer, add_ProfileServiceServicer_to_server

ATTRIBUTE: Final = "attribute:"
INTEREST: Final = "interest:"


class NaiveFact(msgspec.Struct):
    """What the field of an attribute holds, as JSON."""

    value: str
    updated_at: int


class NaiveInterest(msgspec.Struct):
    """What the field of an interest holds, as JSON."""

    long_term: float
    instant: float
    updated_at: int


_facts: Final = msgspec.json.Decoder(NaiveFact)
_interests: Final = msgspec.json.Decoder(NaiveInterest)


def naive_key(person_id: int) -> str:
    """The key of a person's hash."""
    return f"profile:{person_id}"


def naive_fields(profile: pb.Profile) -> dict[str, bytes]:
    """The fields that tell the same attributes and interests as a profile that was read, but for what rules made."""
    fields = {
        ATTRIBUTE + one.name: msgspec.json.encode(NaiveFact(one.text, one.update_time.ToMicroseconds()))
        for one in profile.attributes
        if not one.derived
    }
    now_us = max(one.update_time.ToMicroseconds() for one in profile.attributes)
    return fields | {
        INTEREST + one.tag: msgspec.json.encode(NaiveInterest(one.long_term, one.instant, now_us))
        for one in profile.interests
    }


def _profile(person_id: int, fields: dict[bytes, bytes]) -> pb.Profile:
    profile = pb.Profile(person_id=person_id)
    for name, value in fields.items():
        text = name.decode()
        if text.startswith(ATTRIBUTE):
            fact = _facts.decode(value)
            attribute = profile.attributes.add(name=text[len(ATTRIBUTE) :], text=fact.value)
            attribute.update_time.FromMicroseconds(fact.updated_at)
        else:
            interest = _interests.decode(value)
            profile.interests.add(tag=text[len(INTEREST) :], long_term=interest.long_term, instant=interest.instant)
    return profile


class NaiveProfiles(ProfileServiceServicer):
    """Answers GetProfile by one HGETALL."""

    def __init__(self, redis: Redis) -> None:
        self._redis = redis

    async def GetProfile(self, request: pb.GetProfileRequest, context: object) -> pb.GetProfileResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """One person, one HGETALL."""
        person_id = request.person.person_id
        fields = await self._redis.hgetall(naive_key(person_id))
        return pb.GetProfileResponse(profile=_profile(person_id, fields))


async def _serve(redis_url: str) -> None:
    server = grpc.aio.server()
    add_ProfileServiceServicer_to_server(NaiveProfiles(Redis.from_url(redis_url, protocol=2)), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await Event().wait()


if __name__ == "__main__":
    uvloop.run(_serve(sys.argv[1]))
