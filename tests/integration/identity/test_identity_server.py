import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.common.v1.common_pb2 import Identifier, PersonRef
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.errors import AlreadyExists, BihuanError, FailedPrecondition, InvalidArgument, NotFound, NotYet
from bihuan_shared.redis import open_redis
from tests.integration.identity.conftest import Client, IdentityProcess

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


async def test_resolve_link_merge_and_show(server: Client) -> None:
    item = pb.ResolveItem(identifiers=[login("anna"), cookie("c1")], create=True)
    created = (await server.stub.Resolve(pb.ResolveRequest(item=item))).result
    assert (created.person_id, created.created, created.ambiguous) == (1, True, False)
    assert 0 < created.confidence <= 1
    assert await persons(server, [cookie("c2"), email("anna@example.com")], [cookie("nobody")], create=False) == [0, 0]
    assert await persons(server, [cookie("c2"), email("anna@example.com")], create=True) == [2]

    merged = await server.stub.Link(link(login("anna"), email("anna@example.com"), request_id="r1"))
    assert (merged.person_id, list(merged.merged_person_ids)) == (1, [2])
    assert await persons(server, [cookie("c1")], [cookie("c2")]) == [1, 1]

    inferred = pb.Evidence(kind=pb.EVIDENCE_KIND_PROBABILISTIC, source="splink", confidence=0.75)
    inferred.observe_time.FromSeconds(1_500_000_000)
    await server.stub.Link(link(cookie("c1"), cookie("c3"), request_id="r2", evidence=inferred))
    (result,) = (await server.stub.BatchResolve(batch([cookie("c3")]))).results
    assert (result.person_id, result.confidence) == (1, 0.75)

    shown = await server.stub.GetPerson(pb.GetPersonRequest(person=PersonRef(person_id=2)))
    assert (shown.person_id, list(shown.alias_person_ids)) == (1, [2])
    assert [(change.change, change.merged_person_id) for change in shown.history] == [("created", 0), ("merged", 2)]
    assert sorted(row.namespace for row in shown.identifiers) == ["cookie"] * 3 + ["email_sha256", "login"]
    assert [edge.evidence.source for edge in shown.edges] == ["resolve", "resolve", "login", "splink"]
    assert shown.edges[3].evidence == inferred
    assert set(shown.edges[3].keyed_hashes) <= {row.keyed_hash for row in shown.identifiers}


async def test_ambiguous_identifiers_answer_the_oldest_and_merge_nothing(server: Client) -> None:
    assert await persons(server, [cookie("a")], [cookie("b")], create=True) == [1, 2]
    (result,) = (await server.stub.BatchResolve(batch([cookie("b"), cookie("a")]))).results
    assert (result.person_id, result.ambiguous, result.created) == (1, True, False)
    assert await persons(server, [cookie("b")]) == [2]


async def test_repeated_request_id_is_answered_again_and_other_content_refused(server: Client) -> None:
    first = await server.stub.Link(link(cookie("a"), cookie("b"), request_id="r"))
    assert await server.stub.Link(link(cookie("b"), cookie("a"), request_id="r")) == first
    with pytest.raises(AlreadyExists) as refused:
        await server.stub.Link(link(cookie("a"), cookie("z"), request_id="r"))
    assert refused.value.reason == "CONTENT_CONFLICT"


async def test_shared_machine_is_refused(server: Client) -> None:
    # A cookie may be tied to 64 others.
    for at in range(2):
        logins = [login(f"l{at}-{number}") for number in range(31)]
        await server.stub.Link(link(cookie("shared"), *logins, request_id=f"r{at}"))
    with pytest.raises(FailedPrecondition) as refused:
        await server.stub.Link(link(cookie("shared"), login("a"), login("b"), login("c"), request_id="no"))
    assert refused.value.reason == "CLUSTER_GUARD"
    assert await persons(server, [login("a")], [login("l1-30")]) == [0, 1]


async def test_concurrent_calls_with_one_new_identifier_create_one_person(server: Client) -> None:
    answers = await asyncio.gather(*(persons(server, [cookie("new")], create=True) for _ in range(50)))
    assert answers == [[1]] * 50


async def test_kill_and_restart_keep_what_was_answered(process: IdentityProcess) -> None:
    items = [[login(f"p{at}"), cookie(f"k{at}")] for at in range(200)]
    before = await persons(process, *items, create=True)
    await process.stub.Link(link(login("p0"), login("p1"), request_id="r"))
    killed = asyncio.gather(
        *(persons(process, [cookie(f"late{at}"), login(f"p{at + 2}")], create=True) for at in range(50)),
        return_exceptions=True,
    )
    await process.kill()
    late = await killed
    await process.start()
    after = await persons(process, *items, create=True)
    assert after == [1, 1, *before[2:]]
    assert (await process.stub.Link(link(login("p0"), login("p1"), request_id="r"))).merged_person_ids == [2]
    for at, answer in enumerate(late):
        if not isinstance(answer, BaseException):
            assert await persons(process, [cookie(f"late{at}")]) == answer
    fresh = await persons(process, [cookie("fresh")], create=True)
    assert fresh == [201]
    assert await process.stop() == 0


async def test_flushed_index_changes_no_answer(server: Client, redis_url: str) -> None:
    items = [[login(f"p{at}"), cookie(f"k{at}")] for at in range(100)]
    await persons(server, *items, create=True)
    await server.stub.Link(link(login("p0"), login("p99"), request_id="r"))
    before = await persons(server, *items)
    client = await open_redis(redis_url)
    assert await client.dbsize() > 0
    await client.flushall()
    assert await persons(server, *items) == before
    assert await client.dbsize() > 0
    await client.aclose()


async def test_without_an_index_everything_is_answered_from_the_database(server_without_index: Client) -> None:
    server = server_without_index
    assert await persons(server, [cookie("a")], [cookie("b"), login("c")], create=True) == [1, 2]
    await server.stub.Link(link(cookie("a"), cookie("b"), request_id="r"))
    assert await persons(server, [cookie("a")], [login("c")], [cookie("z")]) == [1, 1, 0]


async def test_raw_values_are_neither_stored_nor_logged(process: IdentityProcess, tmp_path: Path) -> None:
    canary = "canary-5f3a9b"
    await persons(process, [cookie(canary), login(canary)], create=True)
    await process.stub.Link(link(cookie(canary), login(f"{canary}-2"), request_id="r"))
    with pytest.raises(InvalidArgument) as refused:
        await persons(process, [Identifier(namespace="idfa", value=canary)])
    assert canary not in refused.value.detail
    assert await process.stop() == 0
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.suffix == ".db" for path in files)
    assert process.log in files
    for path in files:
        assert canary.encode() not in path.read_bytes(), path


BAD_BATCHES = [
    (batch(), "items"),
    (batch(*[[cookie("a")]] * 1_001), "items"),
    (batch([cookie("a")], []), "items[1].identifiers"),
    (batch([cookie(f"c{at}") for at in range(33)]), "items[0].identifiers"),
    (batch([cookie("a")], [cookie("b"), Identifier(namespace="fax", value="1")]), "items[1].identifiers[1].namespace"),
    (batch([Identifier(value="1")]), "items[0].identifiers[0].namespace"),
    (batch([Identifier(namespace="cookie")]), "items[0].identifiers[0].value"),
    (batch([Identifier(namespace="email_sha256", value="anna@example.com")]), "items[0].identifiers[0].value"),
    (
        batch([Identifier(namespace="idfa", value="00000000-0000-0000-0000-000000000000")]),
        "items[0].identifiers[0].value",
    ),
    (batch([Identifier(namespace="cookie", value="x" * 513)]), "items[0].identifiers[0].value"),
]


@pytest.mark.parametrize("create", [True, False])
async def test_malformed_batches_name_the_field(server: Client, *, create: bool) -> None:
    for request, field in BAD_BATCHES:
        for item in request.items:
            item.create = create
        await refuses(server.stub.BatchResolve(request), field)
    unary = pb.ResolveRequest(item=pb.ResolveItem(identifiers=[cookie("a"), cookie("two words")], create=create))
    await refuses(server.stub.Resolve(unary), "item.identifiers[1].value")
    await refuses(server.stub.Resolve(pb.ResolveRequest()), "item")
    assert await persons(server, [cookie("a")]) == [0]


async def refuses(call: Awaitable[object], field: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        await call
    assert field in [violation.field for violation in refused.value.violations], refused.value
    assert refused.value.reason == "INVALID_FIELD"


async def test_malformed_links_name_the_field(server: Client) -> None:
    pair = (cookie("a"), cookie("b"))
    future = pb.Evidence(
        kind=pb.EVIDENCE_KIND_DETERMINISTIC, source="x", observe_time=Timestamp(seconds=253_402_300_799)
    )
    ancient = pb.Evidence(kind=pb.EVIDENCE_KIND_DETERMINISTIC, source="x", observe_time=Timestamp(seconds=-1))
    cases = [
        (link(cookie("a"), request_id="r"), "identifiers"),
        (link(cookie("a"), cookie(" a"), request_id="r"), "identifiers"),
        (link(cookie("a"), Identifier(namespace="fax", value="1"), request_id="r"), "identifiers[1].namespace"),
        (link(cookie("null"), cookie("a"), request_id="r"), "identifiers[0].value"),
        (link(*pair, request_id=""), "request_id"),
        (link(*pair, request_id="x" * 129), "request_id"),
        (pb.LinkRequest(identifiers=pair, request_id="r"), "evidence"),
        (link(*pair, request_id="r", evidence=pb.Evidence(source="x")), "evidence.kind"),
        (link(*pair, request_id="r", evidence=pb.Evidence(kind=9, source="x")), "evidence.kind"),  # type: ignore[arg-type]  # an unknown kind
        (link(*pair, request_id="r", evidence=pb.Evidence(kind=DETERMINISTIC.kind)), "evidence.source"),
        (link(*pair, request_id="r", evidence=pb.Evidence(kind=DETERMINISTIC.kind, source="A B")), "evidence.source"),
        (link(*pair, request_id="r", evidence=future), "evidence.observe_time"),
        (link(*pair, request_id="r", evidence=ancient), "evidence.observe_time"),
    ]
    contradictory = [(pb.EVIDENCE_KIND_DETERMINISTIC, 0.7), (pb.EVIDENCE_KIND_PROBABILISTIC, 0.0)]
    contradictory += [(pb.EVIDENCE_KIND_PROBABILISTIC, 1.0), (pb.EVIDENCE_KIND_PROBABILISTIC, float("nan"))]
    contradictory += [(pb.EVIDENCE_KIND_PROBABILISTIC, -0.5), (pb.EVIDENCE_KIND_DETERMINISTIC, 1.5)]
    for kind, confidence in contradictory:
        evidence = pb.Evidence(kind=kind, source="x", confidence=confidence)
        cases.append((link(*pair, request_id="r", evidence=evidence), "evidence.confidence"))
    for request, field in cases:
        await refuses(server.stub.Link(request), field)
    assert await persons(server, [cookie("a")], [cookie("b")]) == [0, 0]


async def test_unknown_person_is_not_found_and_malformed_one_refused(server: Client) -> None:
    for person_id in (1, 2**63, 2**64 - 1):
        with pytest.raises(NotFound):
            await server.stub.GetPerson(pb.GetPersonRequest(person=PersonRef(person_id=person_id)))
    await refuses(server.stub.GetPerson(pb.GetPersonRequest()), "person")
    await refuses(server.stub.GetPerson(pb.GetPersonRequest(person=PersonRef())), "person.person")
    await refuses(server.stub.GetPerson(pb.GetPersonRequest(person=PersonRef(person_id=0))), "person.person_id")
    with pytest.raises(NotYet):
        await server.stub.GetPerson(pb.GetPersonRequest(person=PersonRef(person_token="t")))


async def test_later_methods_answer_not_yet(server: Client) -> None:
    async def stream() -> AsyncIterator[pb.MatchIdentifiersRequest]:
        yield pb.MatchIdentifiersRequest(identifiers=[cookie("a")])

    stub = server.stub
    calls: list[Awaitable[object]] = [
        stub.Unlink(pb.UnlinkRequest(evidence_id="1", request_id="r")),
        stub.IssuePseudonyms(pb.IssuePseudonymsRequest(partner="acme", person_ids=[1])),
        stub.ResolvePseudonyms(pb.ResolvePseudonymsRequest(partner="acme", person_tokens=["t"])),
        stub.MatchIdentifiers(stream()),
        stub.DeletePerson(pb.DeletePersonRequest(person=PersonRef(person_id=1), request_id="r")),
    ]
    for call in calls:
        with pytest.raises(NotYet) as refused:
            await call
        assert refused.value.reason == "NOT_YET"
    await refuses(stub.Unlink(pb.UnlinkRequest(request_id="r")), "evidence_id")
    await refuses(stub.DeletePerson(pb.DeletePersonRequest(person=PersonRef(person_id=1))), "request_id")


async def test_partner_is_refused_before_anything_is_written(server: Client) -> None:
    with pytest.raises(BihuanError) as refused:
        await server.partner_stub.BatchResolve(batch([cookie("a")]))
    assert refused.value.reason == "NOT_YET"
    assert await persons(server, [cookie("a")]) == [0]
