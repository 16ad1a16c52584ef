"""
Person tokens: how the server assembly turns a partner's pseudonyms into persons, and persons into its pseudonyms.

Identity makes them; every other service asks identity. The port stands here so that one interceptor can serve all.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol


class TokenStatus(StrEnum):
    """What became of a token that was to be opened."""

    RESOLVED = "resolved"
    INVALID = "invalid"
    EXPIRED = "expired"
    WITHDRAWN = "withdrawn"


@dataclass(frozen=True, slots=True)
class TokenHolder:
    """The person behind a token, aliases followed; `person_id` is 0 unless the status is RESOLVED."""

    person_id: int
    status: TokenStatus


class PersonTokens(Protocol):
    """
    The pseudonyms of persons, partner by partner; `partner` is the name of the calling partner.

    Every method raises PermissionDenied (PARTNER_NOT_ALLOWED) where the partner is not declared, is revoked or may not
    do this, and Unavailable where identity does not answer.
    """

    async def admit(self, partner: str) -> None:
        """
        Refuse a partner that may not be given tokens, before a call runs whose answer would name persons.

        An implementation that does not know may let it pass: `issue` refuses it then.
        """

    async def resolve(self, partner: str, tokens: Sequence[str]) -> Mapping[str, TokenHolder]:
        """Return who stands behind each of these tokens of this partner."""

    async def issue(self, partner: str, person_ids: Sequence[int]) -> Mapping[int, str]:
        """Return the partner's token of each person; those that have none (unknown, erased, opted out) are left out."""
