"""Metrics of the HTTP edge, beside those of `bihuan_shared.metrics`. Labels are route templates, never addresses."""

from prometheus_client import Counter, Gauge, Histogram

HTTP_REQUESTS = Counter(
    "bihuan_http_requests_total",
    "Requests answered, by method, route template and status.",
    ("method", "route", "status"),
)
HTTP_DURATION = Histogram(
    "bihuan_http_request_duration_seconds",
    "Time from the arrival of a request to the end of its answer, by route template.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0),
)
TERMS_PENDING = Gauge("bihuan_terms_outbox_rows", "Resources whose newest terms attribution has not taken.")
BOOKINGS_PENDING = Gauge("bihuan_bookings_outbox_rows", "Bookings that attribution has neither taken nor refused.")
TAGS_PENDING = Gauge("bihuan_tags_outbox_rows", "Advertisers whose private tags profile has refused.")
LEAD_DELIVERIES = Counter(
    "bihuan_lead_deliveries_total",
    "Leads, by what became of them: `delivered`, `nurtured`, `refused` by the receiver, or why it was not reached.",
    ("outcome",),
)
SNAPSHOT_VERSION = Gauge("bihuan_serving_snapshot_version", "Version of the serving snapshot in use.")
