"""Matching a list: counts of what is known here, part by part, and pseudonyms of whose it is where policy allows."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Self

from bihuan_identity.domain.graph import Attachment, KeyedIdentifier
from bihuan_identity.domain.matching import MatchCounts, MatchTally
from bihuan_identity.domain.partners import PartnerRefusedError
from bihuan_identity.use_cases.pseudonyms import Pseudonyms, issue_pseudonyms
from bihuan_shared.errors import FailedPrecondition, FieldViolation, PermissionDenied, ResourceExhausted

LookUp = Callable[[Sequence[KeyedIdentifier]], Awaitable[Mapping[bytes, Attachment]]]
"""Where identifiers that are known belong, by key; creates nothing. Raises Unavailable."""

_REFUSED: Final = "PARTNER_NOT_ALLOWED"
_ISSUE_BATCH: Final = 10_000


@dataclass(frozen=True, slots=True)
class MatchBounds:
    """The most identifiers of one list, tokens in one answer, and lists that are matched at once."""

    identifiers: int = 2_000_000
    tokens: int = 100_000
    lists: int = 4


@dataclass(frozen=True, slots=True)
class MatchPurpose:
    """For whom a list is matched (None: for the platform itself), and whether its pseudonyms are wanted."""

    partner: str | None
    include_tokens: bool


@dataclass(frozen=True, slots=True)
class Matched:
    """The answer to one list."""

    counts: MatchCounts
    tokens: tuple[str, ...] = ()
    truncated: bool = False


@dataclass(slots=True)
class Matching:
    """What list matching works with; `running` counts the lists that are being matched."""

    look_up: LookUp
    pseudonyms: Pseudonyms
    bounds: MatchBounds = field(default_factory=MatchBounds)
    running: int = 0


class ListMatch:
    """
    One list on its way: enter, `add` each part as it comes, `close`, leave.

    Only counts, keys of what matched (8 bytes each) and a bitmap of persons are kept; the list itself is not.
    """

    def __init__(self, matching: Matching, purpose: MatchPurpose, now_us: int) -> None:
        """
        Begin a list.

        Raises PermissionDenied (PARTNER_NOT_ALLOWED) where the partner may not match lists, and FailedPrecondition
        (PARTNER_NOT_ALLOWED) where it may not be given the pseudonyms that are wanted.
        """
        _check(matching.pseudonyms, purpose, now_us)
        self._matching = matching
        self._purpose = purpose
        self._now_us = now_us
        self._tally = MatchTally()

    def __enter__(self) -> Self:
        """Raises ResourceExhausted where as many lists as may be are being matched."""
        if self._matching.running >= self._matching.bounds.lists:
            raise ResourceExhausted("too many lists are being matched; try again later")
        self._matching.running += 1
        return self

    def __exit__(self, *_: object) -> None:
        self._matching.running -= 1

    async def add(self, identifiers: Sequence[KeyedIdentifier], sent: int) -> None:
        """
        Count a part: its different identifiers, and how many were sent in it.

        Raises ResourceExhausted where the list is longer than may be, and Unavailable.
        """
        if self._tally.sent + sent > self._matching.bounds.identifiers:
            raise ResourceExhausted(
                f"a list may have {self._matching.bounds.identifiers} identifiers; send it in parts"
            )
        known = await self._matching.look_up(identifiers)
        self._tally.add(sent, ((key, attachment.person_id) for key, attachment in known.items()))

    async def close(self) -> Matched:
        """Return what may be told of the whole list. Raises Unavailable."""
        counts = self._tally.close()
        partner = self._purpose.partner
        if partner is None or not self._purpose.include_tokens:
            return Matched(counts)
        persons = iter(counts.persons)
        limit = self._matching.bounds.tokens
        tokens: list[str] = []
        while batch := list(islice(persons, min(_ISSUE_BATCH, limit - len(tokens)))):
            issued = await issue_pseudonyms(self._matching.pseudonyms, partner, batch, self._now_us)
            tokens.extend(pseudonym.token for pseudonym in issued if pseudonym.token)
        # The order of person ids would tell which persons are old, so it does not survive.
        return Matched(counts, tuple(sorted(tokens)), truncated=next(persons, None) is not None)


def _check(pseudonyms: Pseudonyms, purpose: MatchPurpose, now_us: int) -> None:
    if purpose.partner is None:
        return
    try:
        partner = pseudonyms.partners.find(purpose.partner)
        partner.check_matching()
    except PartnerRefusedError as refusal:
        raise PermissionDenied(str(refusal), reason=_REFUSED) from None
    if purpose.include_tokens:
        try:
            partner.check_receiving(pseudonyms.keys.epoch_at(now_us))
        except PartnerRefusedError as refusal:
            violation = FieldViolation("include_tokens", str(refusal))
            raise FailedPrecondition(str(refusal), violation, reason=_REFUSED) from None
