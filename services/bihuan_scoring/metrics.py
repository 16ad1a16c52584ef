"""Metrics of scoring."""

from typing import Final

from prometheus_client import Counter, Gauge, Histogram

PERSONS_LAG: Final = Gauge(
    "bihuan_scoring_persons_lag_changes", "Published changes of who is who that were not followed yet."
)
TREES_FALLBACKS: Final = Counter(
    "bihuan_scoring_trees_fallbacks_total",
    "Responses whose trees LightGBM's own predictor serves, by reason: no_sample, unavailable, timeout, failed, "
    "disagreement.",
    ["reason"],
)
COMPILE_SECONDS: Final = Histogram(
    "bihuan_scoring_compile_seconds", "Time that compiling trees took.", buckets=(1, 3, 10, 30, 60, 120, 300, 900)
)
