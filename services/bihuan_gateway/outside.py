"""The part of the composition root that names how other services are reached."""

from dataclasses import dataclass
from typing import Protocol

from bihuan_gateway.control.attribution_hop import AttributionHop
from bihuan_gateway.control.audience_hops import AudienceHop, IdentityHop, TaxonomyHop
from bihuan_gateway.control.booking_hop import BookingHop
from bihuan_gateway.control.bookings import BookingBook
from bihuan_gateway.control.export_hop import ExportHop
from bihuan_gateway.control.exports import PackageExports
from bihuan_gateway.control.findings import FindingSink
from bihuan_gateway.control.findings_hop import FindingsHop
from bihuan_gateway.control.payables_hop import PayablesHop
from bihuan_gateway.control.ports import Audiences, Books, Payables, People, Taxonomy, TermsSink
from bihuan_gateway.control.report_desk import Reports
from bihuan_gateway.control.reports_hop import ReportsHop
from bihuan_gateway.control.settlement import SettlementBooks
from bihuan_gateway.control.settlement_hop import SettlementHop
from bihuan_gateway.control.tag_hop import TagHop
from bihuan_gateway.control.tag_relay import TagSink
from bihuan_gateway.control.tags import PlatformTaxonomy
from bihuan_gateway.control.terms_hop import TermsHop
from bihuan_gateway.hops import Hops


class TargetingTaxonomy(Taxonomy, PlatformTaxonomy, Protocol):
    """The platform's tags, to check expressions against and to show."""


@dataclass(frozen=True, slots=True)
class Outside:
    """What the control plane needs from other services."""

    people: People
    audiences: Audiences
    taxonomy: TargetingTaxonomy
    terms: TermsSink
    books: Books
    payables: Payables
    findings: FindingSink
    settlement: SettlementBooks
    bookings: BookingBook
    reports: Reports
    tags: TagSink
    exports: PackageExports

    @classmethod
    def over(cls, hops: Hops) -> "Outside":
        """Reach it over gRPC."""
        return cls(
            people=IdentityHop(hops.identity),
            audiences=AudienceHop(hops.audiences),
            taxonomy=TaxonomyHop(hops.profile),
            terms=TermsHop(hops.attribution),
            books=AttributionHop(hops.attribution),
            payables=PayablesHop(hops.attribution),
            findings=FindingsHop(hops.attribution),
            settlement=SettlementHop(hops.attribution),
            bookings=BookingHop(hops.attribution),
            reports=ReportsHop(hops.attribution),
            tags=TagHop(hops.profile),
            exports=ExportHop(hops.audiences),
        )
