"""Terms of advertisers' accounts and of placements: versioned and effective-dated as those of campaigns are."""

from collections.abc import Iterable
from dataclasses import dataclass

from bihuan_attribution.domain.versions import VersionBook


@dataclass(frozen=True, slots=True)
class LeadPoints:
    """How many points an action gives, and how often at most."""

    action: str
    points: int
    max_count: int


@dataclass(frozen=True, slots=True)
class LeadRules:
    """How leads are scored: from `threshold` points on a lead goes to sales."""

    threshold: int
    points: tuple[LeadPoints, ...]


@dataclass(frozen=True, slots=True)
class AdvertiserTerms:
    """One version of an advertiser's account; `leads` is None where no leads are kept."""

    advertiser_id: str
    version: int
    effective_time_us: int
    currency: str
    time_zone: str
    credit_limit_micros: int
    leads: LeadRules | None

    @property
    def credit_limit_nanos(self) -> int:
        """What may be owed beyond the prepaid balance."""
        return self.credit_limit_micros * 1000


@dataclass(frozen=True, slots=True)
class PlacementTerms:
    """One version of a placement: whose page it is on, and what share of its charges goes there."""

    placement_id: str
    version: int
    effective_time_us: int
    publisher_id: str
    revenue_share_ppm: int
    traffic_source: str


class PlacementBook(VersionBook[PlacementTerms]):
    """All versions of some placements."""

    __slots__ = ()

    def __init__(self, terms: Iterable[PlacementTerms] = ()) -> None:
        super().__init__()
        for one in terms:
            self.put(one.placement_id, one)

    def traffic_source(self, placement_id: str, at_us: int) -> str:
        """Where visitors of a placement come from; empty where it is not known."""
        held = self.at(placement_id, at_us)
        return held.traffic_source if held is not None else ""
