"""The control plane's routers, in the order in which they are described."""

from bihuan_gateway.routes import (
    ad_groups,
    advertisers,
    api_keys,
    audience_exports,
    audiences,
    bookings,
    campaigns,
    creatives,
    docs,
    invalid_traffic,
    launches,
    ledger,
    not_yet,
    operations,
    orders,
    payables,
    placements,
    promoter_links,
    promoters,
    publishers,
    reports,
    settlement,
    tags,
    webhooks,
)

ROUTERS = tuple(
    module.router
    for module in (
        advertisers,
        campaigns,
        ad_groups,
        creatives,
        placements,
        audiences,
        launches,
        audience_exports,
        tags,
        publishers,
        promoters,
        promoter_links,
        payables,
        bookings,
        api_keys,
        webhooks,
        reports,
        ledger,
        invalid_traffic,
        settlement,
        orders,
        operations,
        not_yet,
        docs,
    )
)
"""Every one of them."""
