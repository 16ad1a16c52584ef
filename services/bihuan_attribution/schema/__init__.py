"""Tables of attribution, by what they are about."""

from bihuan_attribution.schema.books import (
    accounts,
    budgets,
    entries,
    invoice_lines,
    invoices,
    operations,
    periods,
    postings,
    traffic_limits,
    unbilled,
)
from bihuan_attribution.schema.columns import metadata
from bihuan_attribution.schema.effects import click_ranks, order_history, order_items, orders, parked, pending, touches
from bihuan_attribution.schema.log import conflicts, consumers, events, heads, rejections
from bihuan_attribution.schema.persons import followed_changes, moved_sightings, person_aliases, recounts
from bihuan_attribution.schema.reports import figures
from bihuan_attribution.schema.terms import advertiser_terms, booking_days, bookings, placement_terms, terms

__all__ = [
    "accounts",
    "advertiser_terms",
    "booking_days",
    "bookings",
    "budgets",
    "click_ranks",
    "conflicts",
    "consumers",
    "entries",
    "events",
    "figures",
    "followed_changes",
    "heads",
    "invoice_lines",
    "invoices",
    "metadata",
    "moved_sightings",
    "operations",
    "order_history",
    "order_items",
    "orders",
    "parked",
    "pending",
    "periods",
    "person_aliases",
    "placement_terms",
    "postings",
    "recounts",
    "rejections",
    "terms",
    "touches",
    "traffic_limits",
    "unbilled",
]
