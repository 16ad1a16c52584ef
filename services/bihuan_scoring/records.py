"""
Decision records and outcomes, as the lake holds them, joined into labelled rows.

Dataset `decisions`, one row a decision and placement, written by the gateway, with exactly these columns:

| column | Parquet type | meaning |
|---|---|---|
| `decision_id` | string | unique; a file that was written twice repeats it with the same content |
| `request_time_us` | int64 | when it was asked for |
| `person_id` | int64 | 0: none |
| `profile` | binary | `bihuan.profile.v1.Profile` as served to the decision, serialized; empty or null: none |
| `placement_id`, `channel`, `traffic_source` | string | the context, empty where not known |
| `keywords` | list<string> | the context |
| `candidates` | list<struct> | `creative_id`, `campaign_id`, `advertiser_id` string, `tags` list<string>, \
`pctr`, `pcvr` double, `ecpm_micros` int64 |
| `winner_creative_id` | string | null: nothing was shown |
| `propensity` | double | probability with which the winner was chosen |
| `model_version` | string | what scored |

Dataset `events`, one row an accepted event, written by attribution: `log_position` int64, `event_type` string in lower
case (`impression`, `viewable`, `click`, `landing`, `order`, ...), `event_id`, `token_id`, `decision_id`, `campaign_id`,
`creative_id` string, `person_id` int64, `event_time_us`, `receive_time_us` int64, `order_id`, `click_id` string,
`paid_micros` int64. Times are microseconds since the epoch.

Labels, all as known at the cut-off (events at or after it do not exist for training, by `event_time_us`):

- A row is a decision before the cut-off whose winner was shown (an impression names the decision).
- *Clicked*: a click names the decision and lies in `[impression, impression + 90 days)`.
- *Ordered*, for clicked rows: an order whose `click_id` is the click's `token_id`, or an order of the same person in
  `[click, click + 15 days)` that names a campaign of the same advertiser.

Late outcomes: a row whose windows are still open at the cut-off is kept, with the instants that tell how long its
outcome has had to come; `late_outcomes` makes up for those that are still to come.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from bihuan_scoring.domain.facts import Candidate, Context, PersonFacts
from bihuan_scoring.profile_facts import stored_person_facts
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import NotFound, Unavailable
from bihuan_shared.lake import open_lake

CLICK_WINDOW_US = 90 * DAY_US
ORDER_WINDOW_US = 15 * DAY_US

_FETCH_ROWS = 2_000

# The columns that are used, so that a file may have more of them, or lack those of a later day.
_CANDIDATE = pa.struct(
    [(name, pa.string()) for name in ("creative_id", "campaign_id", "advertiser_id")]
    + [("tags", pa.list_(pa.string())), ("pctr", pa.float64()), ("pcvr", pa.float64()), ("ecpm_micros", pa.int64())]
)
_DECISIONS = pa.schema(
    [("decision_id", pa.string()), ("request_time_us", pa.int64()), ("person_id", pa.int64()), ("profile", pa.binary())]
    + [(name, pa.string()) for name in ("placement_id", "channel", "traffic_source")]
    + [("keywords", pa.list_(pa.string())), ("candidates", pa.list_(_CANDIDATE)), ("winner_creative_id", pa.string())]
)
_EVENTS = pa.schema(
    [(name, pa.string()) for name in ("event_type", "event_id", "token_id", "decision_id", "campaign_id", "click_id")]
    + [("person_id", pa.int64()), ("event_time_us", pa.int64())]
)


@dataclass(frozen=True, slots=True)
class LabelledRow:
    """
    A shown winner, what was known when it was chosen, and what became of it.

    Times are those of the first impression, of the first click and of the first order that counts, as known at the
    cut-off; None where there is none.
    """

    decision_id: str
    person_id: int
    person: PersonFacts | None
    context: Context
    candidate: Candidate
    shown_time_us: int
    click_time_us: int | None
    order_time_us: int | None

    @property
    def clicked(self) -> bool:
        """Whether it was clicked."""
        return self.click_time_us is not None

    @property
    def ordered(self) -> bool:
        """Whether an order followed the click."""
        return self.order_time_us is not None


def read_labelled_rows(lake_url: str, cut_off_time_us: int) -> Iterator[LabelledRow]:
    """
    Shown decisions before the cut-off, by request time and id, with their labels.

    Raises NotFound where the lake has no decision records, and Unavailable where it does not answer. Without events
    nothing was shown.
    """
    lake = open_lake(lake_url)
    try:
        decisions, events = lake.dataset("decisions", _DECISIONS), lake.dataset("events", _EVENTS)
    except OSError as error:
        raise Unavailable("the lake cannot be read") from error
    if not decisions.files:
        raise NotFound("the lake holds no decision records")
    with duckdb.connect() as connection:
        connection.execute("SET preserve_insertion_order = true")
        connection.register("decision_files", decisions)
        connection.register("event_files", events)
        parameters = {
            "cut_off": cut_off_time_us,
            "click_window": CLICK_WINDOW_US,
            "order_window": ORDER_WINDOW_US,
        }
        cursor = connection.execute(_LABELLED_ROWS, parameters)
        while batch := cursor.fetchmany(_FETCH_ROWS):
            for row in batch:
                yield _row(*row)


def _row(
    decision_id: str,
    request_time_us: int,
    person_id: int,
    profile: bytes | None,
    placement_id: str | None,
    channel: str | None,
    traffic_source: str | None,
    keywords: list[str] | None,
    winner: dict[str, object],
    shown_time_us: int,
    click_time_us: int | None,
    order_time_us: int | None,
) -> LabelledRow:
    tags = winner["tags"]
    return LabelledRow(
        decision_id=decision_id,
        person_id=person_id,
        person=stored_person_facts(profile or b""),
        context=Context(
            request_time_us, placement_id or "", channel or "", traffic_source or "", tuple(keywords or ())
        ),
        candidate=Candidate(
            creative_id=str(winner["creative_id"]),
            campaign_id=str(winner["campaign_id"]),
            advertiser_id=str(winner["advertiser_id"] or ""),
            tags=tuple(str(tag) for tag in tags) if isinstance(tags, list) else (),
        ),
        shown_time_us=shown_time_us,
        click_time_us=click_time_us,
        order_time_us=order_time_us,
    )


_LABELLED_ROWS = """
WITH
decisions AS (
    SELECT *, list_filter(candidates, lambda c: c.creative_id = winner_creative_id)[1] AS winner
    FROM decision_files
    WHERE request_time_us < $cut_off AND winner_creative_id IS NOT NULL AND winner_creative_id <> ''
    QUALIFY row_number() OVER (PARTITION BY decision_id ORDER BY request_time_us) = 1
),
events AS (
    SELECT * FROM event_files WHERE event_time_us < $cut_off
    QUALIFY row_number() OVER (PARTITION BY event_type, event_id ORDER BY event_time_us) = 1
),
shown AS (
    SELECT decision_id, min(event_time_us) AS time_us FROM events
    WHERE event_type = 'impression' AND decision_id <> '' GROUP BY decision_id
),
clicks AS (
    SELECT e.decision_id, e.token_id, e.event_time_us AS time_us
    FROM events e JOIN shown s USING (decision_id)
    WHERE e.event_type = 'click' AND e.event_time_us >= s.time_us AND e.event_time_us < s.time_us + $click_window
),
advertisers AS (
    SELECT campaign_id, any_value(advertiser_id) AS advertiser_id FROM (
        SELECT unnest(candidates, recursive := true) FROM decisions) WHERE advertiser_id <> '' GROUP BY campaign_id
),
orders AS (
    SELECT e.click_id, e.person_id, e.event_time_us AS time_us, a.advertiser_id
    FROM events e LEFT JOIN advertisers a USING (campaign_id) WHERE e.event_type = 'order'
),
counted AS (
    SELECT c.decision_id, o.time_us FROM clicks c JOIN orders o ON o.click_id = c.token_id WHERE c.token_id <> ''
    UNION ALL
    SELECT c.decision_id, o.time_us FROM clicks c JOIN decisions d USING (decision_id) JOIN orders o
        ON o.person_id = d.person_id AND o.advertiser_id = d.winner.advertiser_id
    WHERE d.person_id <> 0 AND o.time_us >= c.time_us AND o.time_us < c.time_us + $order_window
),
clicked AS (SELECT decision_id, min(time_us) AS time_us FROM clicks GROUP BY decision_id),
ordered AS (SELECT decision_id, min(time_us) AS time_us FROM counted GROUP BY decision_id)
SELECT d.decision_id, d.request_time_us, d.person_id, d.profile, d.placement_id, d.channel, d.traffic_source,
    d.keywords, d.winner, s.time_us, c.time_us, o.time_us
FROM decisions d JOIN shown s USING (decision_id) LEFT JOIN clicked c USING (decision_id)
    LEFT JOIN ordered o USING (decision_id)
WHERE d.winner IS NOT NULL
ORDER BY d.request_time_us, d.decision_id
"""
