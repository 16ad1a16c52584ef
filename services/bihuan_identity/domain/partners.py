"""Partners as declared data: what each of them may be given."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

MAX_PARTNERS: Final = 10_000


class PartnerRefusedError(Exception):
    """The partner's declaration does not allow what is asked for; the text says why and names no partner."""


class UnknownPartnerError(PartnerRefusedError):
    """No declaration names the partner."""


@dataclass(frozen=True, slots=True)
class Partner:
    """
    One partner; `name` is that of its caller credential. What is not allowed here is refused.

    `may_receive_tokens`: answers to it may carry its tokens of persons. `may_match`: it may count how many identifiers
    of its lists are known. `revoked` takes away both and every token that it has; `revoked_before_epoch` takes away
    its tokens of the epochs below, so that a leaked set of them is worth nothing before its epoch ends by itself.
    """

    name: str
    may_receive_tokens: bool = False
    may_match: bool = False
    revoked: bool = False
    revoked_before_epoch: int = 0

    def check_receiving(self, epoch: int) -> None:
        """Raises PartnerRefusedError unless the partner may be given tokens of the epoch."""
        if self.revoked:
            raise PartnerRefusedError("the partner is revoked")
        if not self.may_receive_tokens:
            raise PartnerRefusedError("the partner may not be given person tokens")
        if self.has_lost(epoch):
            raise PartnerRefusedError("the partner's tokens of the key in force are revoked")

    def check_matching(self) -> None:
        """Raises PartnerRefusedError unless the partner may match lists."""
        if self.revoked:
            raise PartnerRefusedError("the partner is revoked")
        if not self.may_match:
            raise PartnerRefusedError("the partner may not match lists")

    def has_lost(self, epoch: int) -> bool:
        """Whether the partner's tokens of the epoch were revoked."""
        return self.revoked or epoch < self.revoked_before_epoch


class PartnerRegistry:
    """All declared partners."""

    __slots__ = ("_by_name",)

    def __init__(self, partners: Iterable[Partner] = ()) -> None:
        """ValueError where two share a name, or there are more than 10,000."""
        listed = list(partners)
        self._by_name = {partner.name: partner for partner in listed}
        if len(self._by_name) != len(listed) or len(listed) > MAX_PARTNERS:
            raise ValueError(f"names of partners must differ, and there may be {MAX_PARTNERS} of them")

    def find(self, name: str) -> Partner:
        """The partner of this name. Raises UnknownPartnerError."""
        partner = self._by_name.get(name)
        if partner is None:
            raise UnknownPartnerError("the partner is not declared")
        return partner
