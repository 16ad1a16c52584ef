"""A running identity server undoes: links, crowded identifiers, persons, namespaces."""

import asyncio
from collections.abc import Sequence

from bihuan.common.v1.common_pb2 import Identifier
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.errors import FailedPrecondition, NotFound
from bihuan_shared.redis import open_redis
from tests.integration.identity.calls import (
    cookie,
    delete,
    email,
    link,
    login,
    persons,
    refuses,
    show,
    unlink,
)
from tests.integration.identity.conftest import Client

EMAIL_MAX_DEGREE = 256


async def test_unlink_gives_everyone_the_id_back_and_tells_the_history(server: Client) -> None:
    await persons(server, [login("a"), cookie("a1")], [login("b"), cookie("b1")], create=True)
    merged = await server.stub.Link(link(login("a"), login("b"), request_id="r"))
    assert await persons(server, [cookie("a1")], [cookie("b1")]) == [1, 1]
    assert await unlink(server, merged.evidence_id, "u") == [1, 2]
    assert await persons(server, [cookie("a1")], [login("b"), cookie("b1")]) == [1, 2]
    assert await unlink(server, merged.evidence_id, "u") == [1, 2]
    await refuses(unlink(server, merged.evidence_id, "again"), "evidence_id", error=NotFound)
    # The link is a recorded request, so a replay answers and does not merge.
    assert await server.stub.Link(link(login("a"), login("b"), request_id="r")) == merged
    assert await persons(server, [cookie("b1")]) == [2]

    first, second = await show(server, 1), await show(server, 2)
    assert [(one.change, list(one.merged_person_ids), list(one.separated_person_ids)) for one in first.history] == [
        ("created", [], []),
        ("merged", [2], []),
        ("split", [], [2]),
    ]
    assert (second.person_id, len(second.identifiers), list(second.alias_person_ids)) == (2, 2, [])


async def test_cycle_and_repeated_evidence_are_no_harm(server: Client) -> None:
    answers = [
        await server.stub.Link(link(cookie(one), cookie(other), request_id=f"r{at}"))
        for at, (one, other) in enumerate([("a", "b"), ("b", "c"), ("c", "a"), ("a", "b"), ("b", "a")])
    ]
    assert [answer.evidence_id for answer in answers] == ["1", "2", "3", "1", "1"]
    assert {answer.person_id for answer in answers} == {1}
    assert await unlink(server, "1", "u1") == [1]
    assert sorted(await unlink(server, "2", "u2")) == [1, 2]
    shown = await show(server, (await persons(server, [cookie("a")]))[0])
    assert [edge.evidence_id for edge in shown.edges] == ["3"]


async def test_client_that_links_everything_to_one_address_harms_nobody(server: Client) -> None:
    victims = [[login(f"v{at}"), cookie(f"c{at}")] for at in range(10)]
    before = await persons(server, *victims, create=True)
    poison = [login(f"x{at}") for at in range(EMAIL_MAX_DEGREE - 5)]
    await link_all(server, [[email("shared"), *poison[at : at + 31]] for at in range(0, len(poison), 31)])
    taken = [await server.stub.Link(link(email("shared"), login(f"v{at}"), request_id=f"v{at}")) for at in range(10)]
    assert [answer.quarantined for answer in taken] == [False] * 5 + [True] * 5
    assert await persons(server, *victims) == before
    assert await persons(server, *[[cookie(f"c{at}"), email("shared")] for at in range(10)]) == before

    (held,) = (await server.stub.ListQuarantined(pb.ListQuarantinedRequest())).identifiers
    assert (held.identifier.namespace, held.max_degree) == ("email_sha256", EMAIL_MAX_DEGREE)
    assert held.identifier.quarantined
    assert held.evidence_count == len(poison) // 31 + 1 + 10
    created = await server.stub.Resolve(
        pb.ResolveRequest(item=pb.ResolveItem(identifiers=[email("shared"), cookie("new")], create=True))
    )
    assert created.result.created

    for answer in taken[5:]:
        await unlink(server, answer.evidence_id, f"u{answer.evidence_id}")
    assert not (await server.stub.ListQuarantined(pb.ListQuarantinedRequest())).identifiers
    assert len(set(await persons(server, *victims[:5]))) == 1
    assert await persons(server, *victims[5:]) == before[5:]


async def link_all(server: Client, groups: Sequence[Sequence[Identifier]]) -> None:
    await asyncio.gather(*(server.stub.Link(link(*group, request_id=f"poison{at}")) for at, group in enumerate(groups)))


async def test_quarantined_identifiers_are_listed_page_by_page(server: Client) -> None:
    for hub in range(3):
        for start in (0, 22, 44):
            others = [login(f"h{hub}n{name}") for name in range(start, start + 22)]
            await server.stub.Link(link(cookie(f"hub{hub}"), *others, request_id=f"{hub}-{start}"))
    first = await server.stub.ListQuarantined(pb.ListQuarantinedRequest(page_size=2))
    rest = await server.stub.ListQuarantined(pb.ListQuarantinedRequest(page_size=2, page_token=first.next_page_token))
    assert (len(first.identifiers), len(rest.identifiers), rest.next_page_token) == (2, 1, "")
    hashes = [one.identifier.keyed_hash for one in (*first.identifiers, *rest.identifiers)]
    assert hashes == sorted(set(hashes))
    assert {one.evidence_count for one in (*first.identifiers, *rest.identifiers)} == {3}


async def test_deleted_person_stays_away_and_its_receipt_verifies(server: Client, redis_url: str) -> None:
    await persons(server, [login("a"), cookie("a1")], [login("b")], create=True)
    await server.stub.Link(link(login("a"), email("a@example.com"), request_id="r"))
    receipt = await delete(server, 1, "d")
    assert await delete(server, 1, "d") == receipt
    await refuses(delete(server, 1, "other"), "person.person_id", error=NotFound)
    await refuses(show(server, 1), "person.person_id", error=NotFound)

    client = await open_redis(redis_url)
    await client.flushall()
    await client.aclose()
    everything = ([login("a")], [cookie("a1")], [email("a@example.com")])
    assert await persons(server, *everything, create=True) == [0, 0, 0]
    error = await refuses(
        server.stub.Link(link(login("b"), cookie("a1"), request_id="back")), "identifiers[1]", error=FailedPrecondition
    )
    assert error.reason == "ERASED"
    verified = await server.stub.VerifyReceipt(pb.VerifyReceiptRequest(receipt=receipt))
    assert (verified.authentic, verified.still_erased, verified.identifier_count) == (True, True, 3)
    forged = await server.stub.VerifyReceipt(pb.VerifyReceiptRequest(receipt=f"{receipt[:-4]}AAAA"))
    assert not forged.authentic


async def test_revoked_namespace_is_undone_and_closed(server: Client) -> None:
    await server.stub.Link(link(login("a"), cookie("bridge"), request_id="1"))
    await server.stub.Link(link(login("b"), cookie("bridge"), request_id="2"))
    assert await persons(server, [login("a")], [login("b")]) == [1, 1]
    revoked = await server.stub.RevokeNamespace(pb.RevokeNamespaceRequest(namespace="cookie"))
    assert (revoked.removed_count, revoked.done) == (1, True)
    apart = await persons(server, [login("a")], [login("b")], [cookie("bridge")], create=True)
    assert apart == [1, 2, 0]
    error = await refuses(
        server.stub.Link(link(login("a"), cookie("new"), request_id="3")), "identifiers[1]", error=FailedPrecondition
    )
    assert error.reason == "ERASED"
    assert (await server.stub.RevokeNamespace(pb.RevokeNamespaceRequest(namespace="cookie"))).done


async def test_person_beyond_the_largest_size_is_refused_whole(server: Client) -> None:
    for at in range(17):
        names = [login(f"g{at}n{number}") for number in range(31)]
        chain = [login(f"g{at - 1}n30")] if at else [login("start")]
        call = server.stub.Link(link(*chain, *names, request_id=f"r{at}"))
        if at < 16:
            await call
        else:
            error = await refuses(call, "identifiers", error=FailedPrecondition)
            assert error.reason == "CLUSTER_GUARD"
    assert await persons(server, [login("g15n30")], [login("g16n0")]) == [1, 0]
