"""The calls of a running identity server: what they answer, and what they refuse."""

import asyncio
from collections.abc import Awaitable
from pathlib import Path

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.common.v1.common_pb2 import Identifier, PersonRef
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.errors import AlreadyExists, BihuanError, InvalidArgument, NotFound
from tests.integration.identity.calls import (
    DETERMINISTIC,
    batch,
    cookie,
    delete,
    email,
    link,
    login,
    persons,
    refuses,
    unlink,
)
from tests.integration.identity.conftest import Client, IdentityProcess


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
    history = [(change.change, list(change.merged_person_ids)) for change in shown.history]
    assert history == [("created", []), ("merged", [2])]
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
    conflicts: list[Awaitable[object]] = [
        server.stub.Link(link(cookie("a"), cookie("z"), request_id="r")),
        unlink(server, first.evidence_id, "r"),
        delete(server, first.person_id, "r"),
    ]
    for call in conflicts:
        error = await refuses(call, "request_id", error=AlreadyExists)
        assert error.reason == "CONTENT_CONFLICT"
    assert await persons(server, [cookie("a")], [cookie("b")], [cookie("z")]) == [1, 1, 0]


async def test_concurrent_calls_with_one_new_identifier_create_one_person(server: Client) -> None:
    answers = await asyncio.gather(*(persons(server, [cookie("new")], create=True) for _ in range(50)))
    assert answers == [[1]] * 50


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
    def get(person: PersonRef | None) -> Awaitable[object]:
        return server.stub.GetPerson(pb.GetPersonRequest(person=person))

    def erase(person: PersonRef | None) -> Awaitable[object]:
        return server.stub.DeletePerson(pb.DeletePersonRequest(person=person, request_id="r"))

    for call in (get, erase):
        for person_id in (1, 2**36, 2**63, 2**64 - 1):
            await refuses(call(PersonRef(person_id=person_id)), "person.person_id", error=NotFound)
        await refuses(call(None), "person")
        await refuses(call(PersonRef()), "person.person")
        await refuses(call(PersonRef(person_id=0)), "person.person_id")
    await refuses(server.stub.DeletePerson(pb.DeletePersonRequest(person=PersonRef(person_id=1))), "request_id")


async def test_unknown_evidence_is_not_found_and_malformed_requests_are_refused(server: Client) -> None:
    first = await server.stub.Link(link(cookie("a"), cookie("b"), request_id="r"))
    for evidence_id in ("2", "0", "-1", "01", " 1", "1 ", "one", "9" * 18, "9" * 40, "\u0661"):
        await refuses(unlink(server, evidence_id, "u"), "evidence_id", error=NotFound)
    await refuses(unlink(server, "", "u"), "evidence_id")
    await refuses(unlink(server, first.evidence_id, ""), "request_id")
    for token in ("x", "00", "0" * 31, "0" * 34):
        await refuses(server.stub.ListQuarantined(pb.ListQuarantinedRequest(page_token=token)), "page_token")
    for namespace in ("fax", "email_sha", "*"):
        await refuses(server.stub.RevokeNamespace(pb.RevokeNamespaceRequest(namespace=namespace)), "namespace")
    await refuses(server.stub.RevokeNamespace(pb.RevokeNamespaceRequest()), "namespace")
    assert await persons(server, [cookie("a")], [cookie("b")]) == [1, 1]


async def test_partner_is_refused_before_anything_is_written(server: Client) -> None:
    with pytest.raises(BihuanError) as refused:
        await server.partner_stub.BatchResolve(batch([cookie("a")]))
    assert refused.value.reason == "PARTNER_NOT_ALLOWED"
    assert await persons(server, [cookie("a")]) == [0]
