"""Metrics of attribution."""

from prometheus_client import Counter, Gauge

CONSUMER_LAG = Gauge(
    "bihuan_attribution_consumer_lag_events", "Committed events that a consumer has not dealt with.", ("consumer",)
)
PERSONS_LAG = Gauge(
    "bihuan_attribution_persons_lag_changes", "Published changes of who is who that were not followed yet."
)
EVENTS = Counter("bihuan_attribution_events_total", "Events taken in, by what became of them.", ("outcome",))
