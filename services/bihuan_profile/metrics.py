"""What profile counts. Labels are bounded."""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import prometheus_client

from bihuan_profile.domain.population import Population
from bihuan_profile.use_cases.ingesting import Result
from bihuan_shared.clock import SECOND_US

EVENTS: Final = prometheus_client.Counter(
    "bihuan_profile_events_total",
    "Events taken in or not, by way (call, stream), outcome and reason.",
    ("way", "outcome", "reason"),
)
STREAM_IGNORED: Final = prometheus_client.Counter(
    "bihuan_profile_stream_ignored_total", "Accepted events that concern no known person or are no behaviour."
)
PERSONS_LAG: Final = prometheus_client.Gauge(
    "bihuan_profile_persons_lag_changes", "Published changes of who is who that were not followed yet."
)
STREAM_POISONED: Final = prometheus_client.Counter(
    "bihuan_profile_stream_poisoned_total", "Messages of the event streams that could not be understood."
)
POPULATION_PERSONS: Final = prometheus_client.Gauge(
    "bihuan_profile_population_persons", "Persons with orders in the population that this process compares with."
)
POPULATION_TIME: Final = prometheus_client.Gauge(
    "bihuan_profile_population_time_seconds", "Instant that the population holds as of, in seconds since the epoch."
)


def measure_population(population: Population) -> None:
    """Show which population this process compares with."""
    POPULATION_PERSONS.set(population.persons)
    POPULATION_TIME.set(population.built_us / SECOND_US)


REBUILD_RUNNING: Final = prometheus_client.Gauge(
    "bihuan_profile_rebuild_running", "1 while profiles are made anew from the lake, by this process or another."
)
REBUILD_FILES: Final = prometheus_client.Gauge(
    "bihuan_profile_rebuild_files", "Files of the phase of the rebuild that this process is at, by state.", ("state",)
)
ERASURES_OPEN: Final = prometheus_client.Gauge(
    "bihuan_profile_erasures_open", "Ids of erased persons of whom the lake may still hold something."
)
ROWS_ERASED: Final = prometheus_client.Counter(
    "bihuan_profile_rows_erased_total", "Rows of erased persons that were taken out of the lake."
)
EXPIRED: Final = prometheus_client.Counter(
    "bihuan_profile_expired_total", "Profiles and files of the lake that were older than their retention.", ("what",)
)


def count_results(way: str, results: Iterable[Result]) -> None:
    """Count what became of a batch that came by `way`."""
    for (outcome, reason), count in Counter((result.outcome, result.reason) for result in results).items():
        EVENTS.labels(way, outcome.name, reason).inc(count)
