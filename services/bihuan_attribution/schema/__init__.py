"""Tables of attribution, by what they are about."""

from bihuan_attribution.schema.books import (
    IS_PROMOTER,
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
from bihuan_attribution.schema.leads import lead_progress, leads
from bihuan_attribution.schema.log import conflicts, consumers, events, heads, rejections
from bihuan_attribution.schema.persons import followed_changes, moved_sightings, person_aliases, recounts
from bihuan_attribution.schema.reports import channel_weights, figures, reach_keys, reach_sketches
from bihuan_attribution.schema.terms import advertiser_terms, booking_days, bookings, placement_terms, terms

__all__ = [
    "IS_PROMOTER",
    "accounts",
    "advertiser_terms",
    "booking_days",
    "bookings",
    "budgets",
    "channel_weights",
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
    "lead_progress",
    "leads",
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
    "reach_keys",
    "reach_sketches",
    "recounts",
    "rejections",
    "terms",
    "touches",
    "traffic_limits",
    "unbilled",
]
