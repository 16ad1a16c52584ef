"""Partners and internal callers at a running identity server: pseudonyms, matched lists, receipts."""

import hashlib
from collections.abc import AsyncIterator, Awaitable, Iterable
from pathlib import Path

import pytest

from bihuan.common.v1.common_pb2 import Identifier, PersonRef
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_identity.settings import PartnerDeclaration
from bihuan_shared.errors import BihuanError, FailedPrecondition, InvalidArgument, NotFound, PermissionDenied
from tests.integration.identity.conftest import Client, serving

PARTNERS = (
    PartnerDeclaration(name="acme", may_receive_tokens=True, may_match=True),
    PartnerDeclaration(name="other", may_receive_tokens=True),
)
LOGIN = pb.Evidence(kind=pb.EVIDENCE_KIND_DETERMINISTIC, source="login")


@pytest.fixture
async def client(tmp_path: Path, redis_url: str) -> AsyncIterator[Client]:
    """A server to which `acme` is a partner."""
    async with serving(tmp_path, redis_url, partners=PARTNERS) as connected:
        yield connected


@pytest.fixture
async def stranger(tmp_path: Path, redis_url: str) -> AsyncIterator[Client]:
    """A server that has declared no partner."""
    async with serving(tmp_path, redis_url) as connected:
        yield connected


def email(number: int) -> Identifier:
    return Identifier(namespace="email_sha256", value=hashlib.sha256(b"p%d@example.com" % number).hexdigest())


def resolve(numbers: Iterable[int], *, create: bool = True) -> pb.BatchResolveRequest:
    return pb.BatchResolveRequest(
        items=[pb.ResolveItem(identifiers=[email(number)], create=create) for number in numbers]
    )


async def persons(client: Client, numbers: Iterable[int], *, create: bool = True) -> list[int]:
    answer = await client.stub.BatchResolve(resolve(numbers, create=create))
    return [result.person_id for result in answer.results]


async def issued(client: Client, ids: Iterable[int], partner: str = "acme") -> list[str]:
    answer = await client.stub.IssuePseudonyms(pb.IssuePseudonymsRequest(partner=partner, person_ids=ids))
    return [pseudonym.person_token for pseudonym in answer.pseudonyms]


async def opened(client: Client, tokens: Iterable[str], partner: str = "acme") -> list[tuple[int, int]]:
    answer = await client.stub.ResolvePseudonyms(pb.ResolvePseudonymsRequest(partner=partner, person_tokens=tokens))
    return [(person.person_id, person.status) for person in answer.persons]


def link(one: int, other: int) -> pb.LinkRequest:
    return pb.LinkRequest(identifiers=[email(one), email(other)], evidence=LOGIN, request_id=f"{one}-{other}")


async def match(
    client: Client, *parts: pb.MatchIdentifiersRequest, partner: bool = False
) -> pb.MatchIdentifiersResponse:
    async def stream() -> AsyncIterator[pb.MatchIdentifiersRequest]:
        for part in parts:
            yield part

    return await (client.partner_stub if partner else client.stub).MatchIdentifiers(stream())


def part(numbers: Iterable[int], **fields: object) -> pb.MatchIdentifiersRequest:
    return pb.MatchIdentifiersRequest(identifiers=map(email, numbers), **fields)  # type: ignore[arg-type]  # named by the test


async def refusal(call: Awaitable[object], kind: type[BihuanError]) -> BihuanError:
    with pytest.raises(kind) as refused:
        await call
    return refused.value


async def test_a_partner_gets_the_token_that_internal_callers_open(client: Client) -> None:
    answer = await client.partner_stub.BatchResolve(resolve(range(3)))
    tokens = [result.person_token for result in answer.results]
    assert all(result.WhichOneof("person") == "person_token" for result in answer.results)
    assert all(result.created and not result.sighting_id for result in answer.results)
    ids = await persons(client, range(3), create=False)
    assert tokens == await issued(client, ids)
    assert await opened(client, tokens) == [(one, pb.RESOLUTION_STATUS_RESOLVED) for one in ids]
    assert await opened(client, tokens, "other") == [(0, pb.RESOLUTION_STATUS_INVALID)] * 3
    assert not set(tokens) & set(await issued(client, ids, "other"))
    again = await client.partner_stub.BatchResolve(resolve(range(3)))
    assert [result.person_token for result in again.results] == tokens


async def test_tokens_follow_a_merge(client: Client) -> None:
    first, second = await persons(client, range(2))
    before = await issued(client, [first, second])
    linked = await client.partner_stub.Link(link(0, 1))
    assert linked.WhichOneof("person") == "person_token"
    assert linked.person_token == before[0]
    assert list(linked.merged_person_ids) == []
    assert await opened(client, before) == [(first, pb.RESOLUTION_STATUS_RESOLVED)] * 2
    assert await issued(client, [second]) == before[:1]


async def test_a_partner_says_something_of_its_own_about_what_others_linked(client: Client) -> None:
    """The same members, kind and source: still two pieces, so that neither re-rates the other."""
    request = link(0, 1)
    request.evidence.kind, request.evidence.confidence = pb.EVIDENCE_KIND_PROBABILISTIC, 0.9
    ours = await client.stub.Link(request)
    request.evidence.confidence = 0.01
    theirs = await client.partner_stub.Link(request)
    assert theirs.evidence_id != ours.evidence_id
    shown = await client.stub.GetPerson(pb.GetPersonRequest(person=PersonRef(person_id=ours.person_id)))
    said = {edge.evidence.source: edge.evidence.confidence for edge in shown.edges}
    assert said == {request.evidence.source: 0.9, f"acme/{request.evidence.source}": 0.01}


async def test_what_resolve_records_is_no_source_for_anybody(client: Client) -> None:
    request = link(0, 1)
    request.evidence.source = "resolve"
    refused = await refusal(client.stub.Link(request), InvalidArgument)
    assert [one.field for one in refused.violations] == ["evidence.source"]


async def test_unknown_persons_have_no_token(client: Client) -> None:
    request = pb.IssuePseudonymsRequest(partner="acme", person_ids=[1, 2**63])
    answer = await client.stub.IssuePseudonyms(request)
    assert [one.status for one in answer.pseudonyms] == [pb.PSEUDONYM_STATUS_UNKNOWN] * 2
    await refusal(client.stub.IssuePseudonyms(pb.IssuePseudonymsRequest(partner="nobody", person_ids=[1])), NotFound)


async def test_a_partner_that_is_not_declared_is_refused_before_anything_is_written(stranger: Client) -> None:
    refused = await refusal(stranger.partner_stub.BatchResolve(resolve(range(3))), PermissionDenied)
    assert refused.reason == "PARTNER_NOT_ALLOWED"
    assert await persons(stranger, range(3), create=False) == [0, 0, 0]
    refused = await refusal(match(stranger, part(range(3)), partner=True), PermissionDenied)
    assert refused.reason == "PARTNER_NOT_ALLOWED"


async def test_a_list_is_counted_and_its_persons_named_for_the_partner(client: Client) -> None:
    ids = await persons(client, range(80))
    answer = await match(
        client, part(range(60), include_tokens=True), part(range(40, 120)), part(range(60)), partner=True
    )
    assert (answer.sent_count, answer.matched_count, answer.below_floor) == (200, 80, False)
    assert sorted(answer.person_tokens) == sorted(await issued(client, ids))
    plain = await match(client, part(range(100)))
    assert (plain.sent_count, plain.matched_count, list(plain.person_tokens)) == (100, 80, [])
    for_acme = await match(client, part(range(80), include_tokens=True, partner="acme"))
    assert for_acme.person_tokens == answer.person_tokens
    assert await persons(client, range(80, 120), create=False) == [0] * 40, "matching creates nobody"


async def test_a_small_match_is_only_told_to_be_small(client: Client) -> None:
    await persons(client, range(49))
    answer = await match(client, part(range(1_000), include_tokens=True), partner=True)
    assert answer == pb.MatchIdentifiersResponse(sent_count=1_000, below_floor=True)
    assert await match(client) == pb.MatchIdentifiersResponse(below_floor=True)


async def test_lists_that_make_no_sense_are_refused(client: Client) -> None:
    bad = pb.MatchIdentifiersRequest(identifiers=[email(1), Identifier(namespace="email_sha256", value="x")])
    refused = await refusal(match(client, part(range(3)), bad), InvalidArgument)
    assert [one.field for one in refused.violations] == ["identifiers[1].value"]
    await refusal(match(client, pb.MatchIdentifiersRequest()), InvalidArgument)
    refused = await refusal(match(client, part(range(3), include_tokens=True)), InvalidArgument)
    assert [one.field for one in refused.violations] == ["partner"]
    await refusal(match(client, part(range(3)), part(range(3), include_tokens=True)), InvalidArgument)
    await refusal(match(client, part(range(3)), part(range(3), partner="acme")), InvalidArgument)
    await refusal(match(client, part(range(3), partner="other"), partner=True), PermissionDenied)
    await refusal(match(client, part(range(3), partner="other")), PermissionDenied)


async def test_a_receipt_verifies_until_it_is_changed(client: Client) -> None:
    (person,) = await persons(client, [1])
    (token,) = await issued(client, [person])
    request = pb.DeletePersonRequest(person=PersonRef(person_id=person), request_id="r1")
    receipt = (await client.stub.DeletePerson(request)).receipt
    assert (await client.stub.DeletePerson(request)).receipt == receipt
    verdict = await client.stub.VerifyReceipt(pb.VerifyReceiptRequest(receipt=receipt))
    assert (verdict.authentic, verdict.still_erased, verdict.identifier_count) == (True, True, 1)
    assert verdict.erase_time.seconds > 0

    assert await persons(client, [1]) == [0], "erased identifiers are not created again"
    assert (await client.stub.VerifyReceipt(pb.VerifyReceiptRequest(receipt=receipt))).still_erased
    assert await opened(client, [token]) == [(0, pb.RESOLUTION_STATUS_OPTED_OUT)]
    answer = await client.stub.IssuePseudonyms(pb.IssuePseudonymsRequest(partner="acme", person_ids=[person]))
    assert [one.status for one in answer.pseudonyms] == [pb.PSEUDONYM_STATUS_OPTED_OUT]

    forged = receipt[:50] + ("A" if receipt[50] != "A" else "B") + receipt[51:]
    assert await client.stub.VerifyReceipt(pb.VerifyReceiptRequest(receipt=forged)) == pb.VerifyReceiptResponse()


async def test_a_long_list_is_counted_message_by_message(client: Client) -> None:
    await persons(client, range(1_000))
    answer = await match(client, *(part(range(start, start + 1_000)) for start in range(0, 100_000, 1_000)))
    assert (answer.sent_count, answer.matched_count) == (100_000, 1_000)


async def test_who_may_not_receive_tokens_may_still_count(tmp_path: Path, redis_url: str) -> None:
    declared = (PartnerDeclaration(name="acme", may_match=True),)
    async with serving(tmp_path, redis_url, partners=declared) as client:
        await persons(client, range(60))
        assert (await match(client, part(range(60)), partner=True)).matched_count == 60
        refused = await refusal(match(client, part(range(60), include_tokens=True), partner=True), FailedPrecondition)
        assert refused.reason == "PARTNER_NOT_ALLOWED"
        await refusal(client.partner_stub.BatchResolve(resolve(range(3))), PermissionDenied)
