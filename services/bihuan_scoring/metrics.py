"""Metrics of scoring."""

from typing import Final

from prometheus_client import Gauge

PERSONS_LAG: Final = Gauge(
    "bihuan_scoring_persons_lag_changes", "Published changes of who is who that were not followed yet."
)
