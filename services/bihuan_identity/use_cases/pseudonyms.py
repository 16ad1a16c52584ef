"""Giving partners their pseudonyms of persons, and turning them back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_identity.domain.graph import MAX_PERSON_ID
from bihuan_identity.domain.partners import Partner, PartnerRefusedError, PartnerRegistry, UnknownPartnerError
from bihuan_identity.domain.pseudonyms import (
    OpenToken,
    Pseudonym,
    PseudonymKeys,
    PseudonymStatus,
    TokenNotGenuineError,
)
from bihuan_shared.clock import Clock
from bihuan_shared.errors import FailedPrecondition, FieldViolation, NotFound, PermissionDenied
from bihuan_shared.person_tokens import TokenHolder, TokenStatus

_REFUSED = "PARTNER_NOT_ALLOWED"
_INVALID = TokenHolder(0, TokenStatus.INVALID)
_EXPIRED = TokenHolder(0, TokenStatus.EXPIRED)
_WITHDRAWN = TokenHolder(0, TokenStatus.WITHDRAWN)


@dataclass(frozen=True, slots=True)
class PersonStanding:
    """Who stands for a person id now; `withdrawn` where that person was erased or opted out."""

    person_id: int
    withdrawn: bool = False


class PersonDirectory(Protocol):
    """Which persons there are. Raises Unavailable where the store does not answer."""

    async def standing(self, person_ids: Sequence[int]) -> Mapping[int, PersonStanding]:
        """Return who stands for each of these ids now, in one query; ids that were never handed out are left out."""


@dataclass(frozen=True, slots=True)
class Pseudonyms:
    """What the functions below work with."""

    keys: PseudonymKeys
    partners: PartnerRegistry
    directory: PersonDirectory


@dataclass(frozen=True, slots=True)
class ResolvedPseudonym:
    """Who stands behind a token; `needs_refresh` where a newer key is in force than the token's."""

    holder: TokenHolder
    needs_refresh: bool = False


async def issue_pseudonyms(
    pseudonyms: Pseudonyms, partner: str, person_ids: Sequence[int], now_us: int
) -> list[Pseudonym]:
    """
    Return the partner's pseudonyms of these persons, in order, under the key in force.

    An absorbed person has the pseudonym of the one that stands for it. Raises NotFound where the partner is not
    declared, FailedPrecondition (PARTNER_NOT_ALLOWED) where it may not be given tokens, and Unavailable.
    """
    declared = _declared(pseudonyms, partner)
    epoch = pseudonyms.keys.epoch_at(now_us)
    try:
        declared.check_receiving(epoch)
    except PartnerRefusedError as refusal:
        raise FailedPrecondition(
            str(refusal), FieldViolation("partner", "may not be given tokens"), reason=_REFUSED
        ) from None
    standing = await _standing(pseudonyms, person_ids)
    return [_pseudonym(pseudonyms.keys, partner, epoch, standing.get(person_id)) for person_id in person_ids]


async def resolve_pseudonyms(
    pseudonyms: Pseudonyms, partner: str, tokens: Sequence[str], now_us: int
) -> list[ResolvedPseudonym]:
    """
    Return who stands behind these tokens of the partner, in order, aliases followed.

    Raises NotFound where the partner is not declared, and Unavailable; a token that does not open is an answer.
    """
    declared = _declared(pseudonyms, partner)
    opened = [_open(pseudonyms.keys, declared, token, now_us) for token in tokens]
    standing = await _standing(pseudonyms, [one.person_id for one in opened if isinstance(one, OpenToken)])
    current = pseudonyms.keys.epoch_at(now_us)
    return [_resolved(one, standing, current) for one in opened]


class OwnPersonTokens:
    """`PersonTokens` of identity itself, for the calls that partners make to it."""

    def __init__(self, pseudonyms: Pseudonyms, clock: Clock) -> None:
        self._pseudonyms = pseudonyms
        self._clock = clock

    async def admit(self, partner: str) -> None:
        """Refuse a partner that may not be given tokens now. Raises PermissionDenied (PARTNER_NOT_ALLOWED)."""
        epoch = self._pseudonyms.keys.epoch_at(self._clock.now_us())
        try:
            self._pseudonyms.partners.find(partner).check_receiving(epoch)
        except PartnerRefusedError as refusal:
            raise PermissionDenied(str(refusal), reason=_REFUSED) from None

    async def resolve(self, partner: str, tokens: Sequence[str]) -> Mapping[str, TokenHolder]:
        """Return who stands behind each token. Raises PermissionDenied (PARTNER_NOT_ALLOWED) and Unavailable."""
        try:
            resolved = await resolve_pseudonyms(self._pseudonyms, partner, tokens, self._clock.now_us())
        except NotFound as error:
            raise PermissionDenied(error.detail, reason=_REFUSED) from None
        return {token: one.holder for token, one in zip(tokens, resolved, strict=True)}

    async def issue(self, partner: str, person_ids: Sequence[int]) -> Mapping[int, str]:
        """Return the partner's token of each person that has one. Raises as `resolve` does."""
        try:
            issued = await issue_pseudonyms(self._pseudonyms, partner, person_ids, self._clock.now_us())
        except (NotFound, FailedPrecondition) as error:
            raise PermissionDenied(error.detail, reason=_REFUSED) from None
        return {person_id: one.token for person_id, one in zip(person_ids, issued, strict=True) if one.token}


def _declared(pseudonyms: Pseudonyms, partner: str) -> Partner:
    try:
        return pseudonyms.partners.find(partner)
    except UnknownPartnerError as refusal:
        raise NotFound(str(refusal), FieldViolation("partner", "is not declared")) from None


async def _standing(pseudonyms: Pseudonyms, person_ids: Sequence[int]) -> Mapping[int, PersonStanding]:
    possible = list(dict.fromkeys(person_id for person_id in person_ids if 0 < person_id <= MAX_PERSON_ID))
    return await pseudonyms.directory.standing(possible) if possible else {}


def _pseudonym(keys: PseudonymKeys, partner: str, epoch: int, standing: PersonStanding | None) -> Pseudonym:
    if standing is None:
        return Pseudonym("", PseudonymStatus.UNKNOWN)
    if standing.withdrawn:
        return Pseudonym("", PseudonymStatus.WITHDRAWN)
    token = keys.seal(partner, standing.person_id, epoch)
    return Pseudonym(token, PseudonymStatus.ISSUED, keys.refresh_time_us(epoch), keys.expire_time_us(epoch))


def _open(keys: PseudonymKeys, partner: Partner, token: str, now_us: int) -> OpenToken | TokenHolder:
    try:
        opened = keys.open(partner.name, token)
    except TokenNotGenuineError:
        return _INVALID
    if partner.has_lost(opened.epoch) or keys.is_retired(opened.epoch, now_us):
        return _EXPIRED
    return opened


def _resolved(
    one: OpenToken | TokenHolder, standing: Mapping[int, PersonStanding], current_epoch: int
) -> ResolvedPseudonym:
    if isinstance(one, TokenHolder):
        return ResolvedPseudonym(one)
    person = standing.get(one.person_id)
    # A genuine token of a person that is not there (any more) is of one that was taken away.
    if person is None or person.withdrawn:
        return ResolvedPseudonym(_WITHDRAWN)
    return ResolvedPseudonym(TokenHolder(person.person_id, TokenStatus.RESOLVED), one.epoch < current_epoch)
