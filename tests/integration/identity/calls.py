"""Short ways to call a running identity server."""

import hashlib
from collections.abc import Awaitable, Sequence

import pytest

from bihuan.common.v1.common_pb2 import Identifier, PersonRef
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.errors import BihuanError, InvalidArgument
from tests.integration.identity.conftest import Client

DETERMINISTIC = pb.Evidence(kind=pb.EVIDENCE_KIND_DETERMINISTIC, source="login")


def email(name: str) -> Identifier:
    return Identifier(namespace="email_sha256", value=hashlib.sha256(name.encode()).hexdigest())


def cookie(name: str) -> Identifier:
    return Identifier(namespace="cookie", value=name)


def login(name: str) -> Identifier:
    return Identifier(namespace="login", value=name)


def batch(*items: Sequence[Identifier], create: bool = True) -> pb.BatchResolveRequest:
    return pb.BatchResolveRequest(items=[pb.ResolveItem(identifiers=item, create=create) for item in items])


async def persons(server: Client, *items: Sequence[Identifier], create: bool = False) -> list[int]:
    response = await server.stub.BatchResolve(batch(*items, create=create))
    return [result.person_id for result in response.results]


def link(*identifiers: Identifier, request_id: str, evidence: pb.Evidence = DETERMINISTIC) -> pb.LinkRequest:
    return pb.LinkRequest(identifiers=identifiers, evidence=evidence, request_id=request_id)


async def unlink(server: Client, evidence_id: str, request_id: str) -> list[int]:
    request = pb.UnlinkRequest(evidence_id=evidence_id, request_id=request_id)
    return list((await server.stub.Unlink(request)).person_ids)


async def show(server: Client, person_id: int) -> pb.GetPersonResponse:
    return await server.stub.GetPerson(pb.GetPersonRequest(person=PersonRef(person_id=person_id)))


async def delete(server: Client, person_id: int, request_id: str) -> str:
    request = pb.DeletePersonRequest(person=PersonRef(person_id=person_id), request_id=request_id)
    return (await server.stub.DeletePerson(request)).receipt


async def refuses(call: Awaitable[object], *fields: str, error: type[BihuanError] = InvalidArgument) -> BihuanError:
    """Assert that a call is refused with this error, which names these fields among others; returns it."""
    with pytest.raises(error) as refused:
        await call
    assert set(fields) <= {violation.field for violation in refused.value.violations}, refused.value
    return refused.value
