"""What the delivery of leads needs from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from bihuan_gateway.control.ports import AudienceStatus

Way = Literal["sales", "nurture"]


@dataclass(frozen=True, slots=True)
class DueLead:
    """A lead whose newest revision was not delivered; `person_id` is 0 where no person may be stored."""

    lead_id: str
    revision: int
    advertiser_id: str
    person_id: int
    points: int
    threshold: int
    reasons: tuple[tuple[str, int, int], ...]
    references: tuple[str, ...]
    campaign_id: str
    creative_id: str
    first_time_us: int
    last_time_us: int

    @property
    def name(self) -> tuple[str, int]:
        """What it is acknowledged by."""
        return (self.lead_id, self.revision)


@dataclass(frozen=True, slots=True)
class Reply:
    """What a webhook answered: `fault` where it did not, else its status and how long it asks to be left alone."""

    fault: str
    status: int = 0
    retry_after_s: float = 0.0

    @property
    def is_taken(self) -> bool:
        """Whether the receiver took the delivery."""
        return 200 <= self.status < 300  # noqa: PLR2004 - the class of statuses that say so


class LeadQueue(Protocol):
    """Leads, as attribution holds them."""

    async def due(self, advertiser_id: str, way: Way, *, size: int, page_token: str) -> tuple[list[DueLead], str]:
        """Return a page of what is due, and where to go on, empty at the end."""
        ...

    async def acknowledge(self, delivered: Sequence[tuple[str, int]]) -> None:
        """Note what was delivered."""
        ...


class NurtureLists(Protocol):
    """Audiences that are lists, as scoring keeps them."""

    async def create(
        self, audience_id: str, advertiser_id: str, display_name: str, *, expression: str, person_ids: Sequence[int]
    ) -> AudienceStatus:
        """Create an audience; the same again is no error."""
        ...

    async def change_members(
        self, audience_id: str, advertiser_id: str, *, add: Sequence[int], remove: Sequence[int]
    ) -> None:
        """Take persons into a list and out of it."""
        ...


class Webhooks(Protocol):
    """Receivers of advertisers."""

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Send one webhook; what fails is told and not raised."""
        ...


class Turn(Protocol):
    """Which of several gateways delivers."""

    async def hold(self) -> bool:
        """Take or keep the turn; False while another gateway has it."""
        ...
