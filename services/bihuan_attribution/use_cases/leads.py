"""Leads as they are asked for and acknowledged."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_attribution.domain.lead import Lead, LeadRoute


@dataclass(frozen=True, slots=True)
class LeadQuery:
    """Which leads: of one route and one advertiser where these are named, behind the id `after`."""

    route: LeadRoute | None
    advertiser_id: str
    due_only: bool
    after: str
    limit: int


class Leads(Protocol):
    """Leads as they are scored now."""

    async def page(self, query: LeadQuery) -> list[Lead]:
        """Up to `limit` leads by id."""
        ...

    async def acknowledge(self, delivered: Sequence[tuple[str, int]]) -> None:
        """Note what was delivered, each a lead id and a revision; what is not known or not newer changes nothing."""
        ...
