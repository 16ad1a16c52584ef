"""What the control plane needs from elsewhere."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from bihuan_gateway.control.access import Principal
from bihuan_gateway.control.insight import (
    Balance,
    EntryQuery,
    LedgerEntry,
    Reconciliation,
)
from bihuan_gateway.control.look_alikes import EvidenceView, LookAlikeSpec
from bihuan_gateway.control.packages import NO_STANDING, BrandBehaviourSpec, CombinationSpec, OverlapsView, Standing
from bihuan_gateway.control.promoter_link import IssuedLink
from bihuan_gateway.control.resources import Receipt, Resource
from bihuan_gateway.control.specs import Kind, Member
from bihuan_gateway.control.terms import Terms
from bihuan_shared.targeting import Expression, TagType


@dataclass(frozen=True, slots=True)
class Query:
    """A page of `size` resources behind the id `after`, of one tenant and one parent where these are named."""

    size: int
    after: str = ""
    advertiser_id: str | None = None
    parent_id: str | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """Resources by id; `next_after` is empty at the end."""

    resources: tuple[Resource, ...]
    next_after: str


class ControlStore(Protocol):
    """
    Keeps resources.

    Every write raises the version of the serving snapshot and puts the terms that follow from it into the outbox, in
    the same transaction.
    """

    async def create(self, resource: Resource, receipt: Receipt | None) -> Resource:
        """
        Store a resource with its receipt, all or nothing.

        The same receipt again answers what it made, as it was made; a known key with another fingerprint, and an id
        that is taken, are AlreadyExists; a parent that does not exist is InvalidArgument.
        """
        ...

    async def create_all(self, resources: Sequence[Resource], receipt: Receipt | None) -> Resource:
        """
        Store resources, parents first, with the receipt of the last one, all or nothing; answers the last one.

        Errors and repeats as in `create`.
        """
        ...

    async def update(self, resource: Resource) -> Resource:
        """Replace the version before this one; FailedPrecondition where that is not the newest."""
        ...

    async def find(self, kind: Kind, resource_id: str) -> Resource | None:
        """Return one resource, or None."""
        ...

    async def find_receipt(self, kind: Kind, receipt: Receipt) -> Resource | None:
        """Return what the idempotency key made, None where it is new; AlreadyExists where it made something else."""
        ...

    async def find_many(self, kind: Kind, ids: Sequence[str]) -> list[Resource]:
        """Return those of the resources that exist, in any order."""
        ...

    async def list_page(self, kind: Kind, query: Query) -> Page:
        """Return one page of resources by id."""
        ...


@dataclass(frozen=True, slots=True)
class KnownKey:
    """A key as it is listed; its secret is not known here."""

    holder: Principal
    display_name: str
    create_time_us: int


class KeyStore(Protocol):
    """Keeps API keys."""

    async def add_key(self, holder: Principal, *, secret_sha256: str, display_name: str, create_time_us: int) -> None:
        """Store a new key; AlreadyExists where its id is taken."""
        ...

    async def list_keys(self, *, size: int, after: str) -> tuple[list[KnownKey], str]:
        """Return `size` keys behind the id `after`, by id, and the id to go on after, empty at the end."""
        ...

    async def delete_key(self, key_id: str) -> bool:
        """Forget a key; False where there is none."""
        ...


class LinkStore(Protocol):
    """Keeps promoters' links."""

    async def find_link(self, receipt: Receipt) -> IssuedLink | None:
        """Return what the idempotency key made, None where it is new; AlreadyExists where it made something else."""
        ...

    async def add_link(self, link: IssuedLink, receipt: Receipt | None) -> IssuedLink:
        """Store a link with its receipt, all or nothing; the same receipt again answers what it made."""
        ...


class TermsOutbox(Protocol):
    """Terms that are written and not yet acknowledged: the newest of each advertiser, placement and campaign."""

    async def pending_terms(self, limit: int) -> list[Terms]:
        """Return at most `limit` terms, those of advertisers and placements before those of campaigns."""
        ...

    async def count_pending_terms(self) -> int:
        """Return how many advertisers, placements and campaigns have terms that were not acknowledged."""
        ...

    async def acknowledge_terms(self, taken: Sequence[Terms]) -> None:
        """Note terms as taken; older versions of the same count as taken too."""
        ...


class ChangeFeed(Protocol):
    """What has changed in the control plane."""

    async def changes(self, after_version: int) -> tuple[int, list[Resource]]:
        """Return the newest version and everything written after `after_version`."""
        ...


class TermsSink(Protocol):
    """Attribution, as it learns terms."""

    async def put_terms(self, terms: Sequence[Terms]) -> None:
        """Hand over up to 1,000 terms, all or none; FailedPrecondition (STALE_TERMS) where newer ones are known."""
        ...


class Payables(Protocol):
    """Attribution, as it keeps what is payable to promoters and publishers."""

    async def payable(self, account: str) -> list[Balance]:
        """Tell what an account `promoter:payable:<id>` or `publisher:payable:<id>` holds, by currency."""
        ...


class Taxonomy(Protocol):
    """What targeting expressions may speak of."""

    async def parse(self, text: str, pointer: str, private: Mapping[str, TagType]) -> Expression:
        """
        Parse an expression and check it against the platform's tags and some private ones.

        InvalidArgument (EXPRESSION_INVALID) at `pointer` names the column.
        """
        ...


class People(Protocol):
    """Identity, as member lists need it."""

    async def resolve(self, members: Sequence[Member], *, first_index: int) -> list[int]:
        """
        Return the person of each member, created where unknown.

        InvalidArgument names members by their index in the whole list, which that of the first one here is given for.
        """
        ...


@dataclass(frozen=True, slots=True)
class AudienceStatus:
    """
    How far an audience is: `building`, `ready` or `failed`.

    `size` is in persons, with noise, as it may be told; 0 and `below_floor` where there are too few to be told.
    """

    state: str
    size: int
    progress: float
    failure: str
    below_floor: bool = False
    evidence: EvidenceView | None = None
    standing: Standing = NO_STANDING


@dataclass(frozen=True, slots=True)
class Reach:
    """About how many persons an expression reaches; 0 and `below_floor` where there are too few to be told."""

    reach: int
    below_floor: bool


class Audiences(Protocol):
    """Scoring, as it keeps audiences."""

    async def create(
        self,
        audience_id: str,
        advertiser_id: str,
        display_name: str,
        *,
        expression: str,
        person_ids: Sequence[int],
        look_alike: LookAlikeSpec | None = None,
        package: CombinationSpec | BrandBehaviourSpec | None = None,
        refresh_interval_s: int = 0,
    ) -> AudienceStatus:
        """Create an audience from an expression, a seed, a package or else a list; the same again is no error."""
        ...

    async def compare(self, advertiser_id: str, audience_ids: Sequence[str]) -> OverlapsView:
        """Tell how much audiences of an advertiser overlap; FailedPrecondition where one has no members yet."""
        ...

    async def reach(self, advertiser_id: str, expression: str) -> Reach:
        """Estimate how many persons an expression of an advertiser reaches; FailedPrecondition as creation has it."""
        ...

    async def status(self, audience_id: str) -> AudienceStatus:
        """Tell how far an audience is; NotFound."""
        ...

    async def refresh(self, audience_id: str, advertiser_id: str) -> AudienceStatus:
        """Have an audience built anew; NotFound, FailedPrecondition for a list."""
        ...


class Books(Protocol):
    """Attribution, as it keeps the ledger."""

    async def deposit(self, advertiser_id: str, deposit_id: str, *, currency: str, amount_micros: int) -> LedgerEntry:
        """Book a deposit once; the same id with another body is AlreadyExists."""
        ...

    async def balances(self, advertiser_id: str, as_of_us: int | None) -> list[Balance]:
        """Tell what an advertiser's accounts hold, now or as it was believed then."""
        ...

    async def entries(self, query: EntryQuery) -> tuple[list[LedgerEntry], str]:
        """Return entries, oldest first, and the token of the next page."""
        ...

    async def reconcile(self, *, positions_only: bool = False) -> Reconciliation:
        """Compare the ledger with the events, or only tell where the consumers of the log are."""
        ...
