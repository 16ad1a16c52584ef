"""The wire side of what partners get and may check: pseudonyms, matched lists, receipts."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceServicer
from bihuan_identity.domain.keys import KeyHasher
from bihuan_identity.domain.pseudonyms import Pseudonym, PseudonymStatus
from bihuan_identity.domain.receipts import ReceiptKeys
from bihuan_identity.use_cases.matching import ListMatch, Matched, Matching, MatchPurpose
from bihuan_identity.use_cases.pseudonyms import (
    Pseudonyms,
    ResolvedPseudonym,
    issue_pseudonyms,
    resolve_pseudonyms,
)
from bihuan_identity.use_cases.receipts import ErasureLog, verify_receipt
from bihuan_identity.wire import IdentifierReader
from bihuan_shared.callers import Role, current_caller
from bihuan_shared.clock import Clock, to_timestamp
from bihuan_shared.errors import FieldViolation, InvalidArgument, PermissionDenied
from bihuan_shared.person_tokens import TokenStatus

_PSEUDONYM_STATUSES: Final = {
    PseudonymStatus.ISSUED: pb.PSEUDONYM_STATUS_ISSUED,
    PseudonymStatus.WITHDRAWN: pb.PSEUDONYM_STATUS_OPTED_OUT,
    PseudonymStatus.UNKNOWN: pb.PSEUDONYM_STATUS_UNKNOWN,
}
_RESOLUTION_STATUSES: Final = {
    TokenStatus.RESOLVED: pb.RESOLUTION_STATUS_RESOLVED,
    TokenStatus.INVALID: pb.RESOLUTION_STATUS_INVALID,
    TokenStatus.EXPIRED: pb.RESOLUTION_STATUS_EXPIRED,
    TokenStatus.WITHDRAWN: pb.RESOLUTION_STATUS_OPTED_OUT,
}


@dataclass(frozen=True, slots=True)
class PartnerDesk:
    """What the methods below work with."""

    pseudonyms: Pseudonyms
    matching: Matching
    receipts: ReceiptKeys
    erasures: ErasureLog
    hasher: KeyHasher
    clock: Clock


class PartnerServicer(IdentityServiceServicer):
    """The part of `bihuan.identity.v1.IdentityService` that is about partners and proofs."""

    def __init__(self, desk: PartnerDesk) -> None:
        self._desk = desk

    async def IssuePseudonyms(  # noqa: N802  # the contract's name
        self,
        request: pb.IssuePseudonymsRequest,
        context: object,  # noqa: ARG002  # the contract's signature
    ) -> pb.IssuePseudonymsResponse:
        """Give pseudonyms, in order."""
        now_us = self._desk.clock.now_us()
        issued = await issue_pseudonyms(self._desk.pseudonyms, request.partner, request.person_ids, now_us)
        return pb.IssuePseudonymsResponse(pseudonyms=[_write_pseudonym(one) for one in issued])

    async def ResolvePseudonyms(  # noqa: N802  # the contract's name
        self,
        request: pb.ResolvePseudonymsRequest,
        context: object,  # noqa: ARG002  # the contract's signature
    ) -> pb.ResolvePseudonymsResponse:
        """Turn pseudonyms back, in order."""
        now_us = self._desk.clock.now_us()
        resolved = await resolve_pseudonyms(self._desk.pseudonyms, request.partner, request.person_tokens, now_us)
        return pb.ResolvePseudonymsResponse(persons=[_write_resolved(one) for one in resolved])

    async def MatchIdentifiers(  # noqa: N802  # the contract's name
        self,
        request_iterator: AsyncIterator[pb.MatchIdentifiersRequest],
        context: object,  # noqa: ARG002  # the contract's signature
    ) -> pb.MatchIdentifiersResponse:
        """
        Count a list, message by message.

        A message is only taken from the wire once the one before is counted: that is what holds back a fast sender.
        """
        first = await anext(request_iterator, pb.MatchIdentifiersRequest())
        purpose = _read_purpose(first)
        with ListMatch(self._desk.matching, purpose, self._desk.clock.now_us()) as listed:
            await self._count(listed, first)
            async for request in request_iterator:
                _check_repeats(first, request)
                await self._count(listed, request)
            return _write_matched(await listed.close())

    async def VerifyReceipt(self, request: pb.VerifyReceiptRequest, context: object) -> pb.VerifyReceiptResponse:  # noqa: N802, ARG002  # the contract's name and signature
        """Check a receipt."""
        verdict = await verify_receipt(self._desk.receipts, self._desk.erasures, request.receipt)
        if verdict.statement is None:
            return pb.VerifyReceiptResponse()
        return pb.VerifyReceiptResponse(
            authentic=True,
            still_erased=verdict.still_erased,
            erase_time=to_timestamp(verdict.statement.erase_time_us),
            identifier_count=verdict.statement.identifier_count,
        )

    async def _count(self, listed: ListMatch, request: pb.MatchIdentifiersRequest) -> None:
        if not request.identifiers:  # of a stream that ended before its first message
            return
        reader = IdentifierReader(self._desk.hasher)
        identifiers = reader.identifiers(request.identifiers)
        reader.finish()
        await listed.add(identifiers, len(request.identifiers))


def _read_purpose(first: pb.MatchIdentifiersRequest) -> MatchPurpose:
    caller = current_caller()
    if caller.role is Role.PARTNER:
        if first.partner not in ("", caller.name):
            violation = FieldViolation("partner", "is not the caller")
            raise PermissionDenied("a partner matches lists for itself", violation, reason="PARTNER_NOT_ALLOWED")
        return MatchPurpose(caller.name, first.include_tokens)
    if first.include_tokens and not first.partner:
        raise InvalidArgument.of("partner", "must be named where its pseudonyms are wanted")
    return MatchPurpose(first.partner or None, first.include_tokens)


def _check_repeats(first: pb.MatchIdentifiersRequest, request: pb.MatchIdentifiersRequest) -> None:
    if request.include_tokens and not first.include_tokens:
        raise InvalidArgument.of("include_tokens", "belongs into the first message")
    if request.partner not in ("", first.partner):
        raise InvalidArgument.of("partner", "belongs into the first message")


def _write_pseudonym(one: Pseudonym) -> pb.Pseudonym:
    return pb.Pseudonym(
        person_token=one.token,
        status=_PSEUDONYM_STATUSES[one.status],
        refresh_time=_write_time(one.refresh_time_us),
        expire_time=_write_time(one.expire_time_us),
    )


def _write_resolved(one: ResolvedPseudonym) -> pb.ResolvedPseudonym:
    return pb.ResolvedPseudonym(
        person_id=one.holder.person_id,
        status=_RESOLUTION_STATUSES[one.holder.status],
        needs_refresh=one.needs_refresh,
    )


def _write_matched(matched: Matched) -> pb.MatchIdentifiersResponse:
    return pb.MatchIdentifiersResponse(
        sent_count=matched.counts.sent,
        matched_count=matched.counts.matched,
        below_floor=matched.counts.below_floor,
        person_tokens=matched.tokens,
        tokens_truncated=matched.truncated,
    )


def _write_time(time_us: int | None) -> Timestamp | None:
    return None if time_us is None else to_timestamp(time_us)
