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
COMPARISONS: Final = Counter(
    "bihuan_scoring_comparisons_total",
    "Requests scored once more beside a shadow or a canary, by outcome: compared, dropped, failed.",
    ["outcome"],
)
RIVAL_DIFFERENCE: Final = Gauge(
    "bihuan_scoring_rival_difference_ratio",
    "Mean absolute difference of the click probabilities of a canary or shadow and of what serves everyone.",
    ["place"],
)
ROLL_BACKS: Final = Counter(
    "bihuan_scoring_roll_backs_total", "Versions that were taken out unasked: failure, latency, drift.", ["reason"]
)
DRIFT_RATIO: Final = Gauge(
    "bihuan_scoring_drift_ratio", "Observed clicks over predicted ones, by place: canary, stable.", ["place"]
)
DRIFT_EVIDENCE: Final = Gauge(
    "bihuan_scoring_drift_log_evidence",
    "Natural logarithm of the evidence that predictions are off, by place.",
    ["place"],
)
