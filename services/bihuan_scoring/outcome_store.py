"""
What became of what was scored, from the lake: decision records say what was predicted, events what happened.

The decision record is where the platform notes which version scored and what it said (see `records`), so prediction and
outcome meet in one place and nothing needs to be kept in memory over a restart. The click response is judged, because
its outcomes come within minutes; orders come within weeks.
"""

from dataclasses import dataclass
from typing import Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from bihuan_scoring.use_cases.ports import Seen
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import open_lake

MAX_ROWS: Final = 200_000

_CANDIDATE = pa.struct([("creative_id", pa.string()), ("pctr", pa.float64())])
_DECISIONS = pa.schema(
    [
        ("decision_id", pa.string()),
        ("request_time_us", pa.int64()),
        ("candidates", pa.list_(_CANDIDATE)),
        ("winner_creative_id", pa.string()),
        ("model_version", pa.string()),
    ]
)
_EVENTS = pa.schema([("event_type", pa.string()), ("decision_id", pa.string()), ("event_time_us", pa.int64())])


@dataclass(frozen=True, slots=True)
class LakeOutcomes:
    """Implements the port `Outcomes`."""

    lake_url: str

    def of(self, model_version: str, since_us: int, until_us: int, window_us: int) -> Seen:
        """Shown winners that a version scored in `[since_us, until_us)`, the newest 200,000 of them, oldest first."""
        lake = open_lake(self.lake_url)
        late_us = until_us + window_us + DAY_US
        parameters = {"version": model_version, "since": since_us, "until": until_us, "window": window_us}
        try:
            decisions, events = lake.dataset("decisions", _DECISIONS), lake.dataset("events", _EVENTS)
            if not decisions.files or not events.files:
                return Seen(np.empty(0), np.empty(0, dtype=np.bool_))
            scored = (pc.field("request_time_us") >= since_us) & (pc.field("request_time_us") < until_us)
            happened = (pc.field("event_time_us") >= since_us) & (pc.field("event_time_us") < late_us)
            with duckdb.connect(config={"threads": 1}) as connection:
                connection.register("decision_files", decisions.scanner(filter=scored))
                connection.register("event_files", events.scanner(filter=happened))
                found = connection.execute(_SEEN, parameters | {"rows": MAX_ROWS}).fetchnumpy()
        except (OSError, pa.ArrowException, duckdb.Error) as error:
            raise Unavailable("the lake cannot be read") from error
        order = np.argsort(found["request_time_us"], kind="stable")
        return Seen(
            np.asarray(found["pctr"], dtype=np.float64)[order], np.asarray(found["clicked"], dtype=np.bool_)[order]
        )


_SEEN = """
WITH
decisions AS (
    SELECT decision_id, request_time_us,
        list_filter(candidates, lambda c: c.creative_id = winner_creative_id)[1].pctr AS pctr
    FROM decision_files
    WHERE model_version = $version AND request_time_us >= $since AND request_time_us < $until
        AND winner_creative_id IS NOT NULL AND winner_creative_id <> ''
    QUALIFY row_number() OVER (PARTITION BY decision_id ORDER BY request_time_us) = 1
),
events AS (
    SELECT event_type, decision_id, min(event_time_us) AS time_us FROM event_files
    WHERE event_type IN ('impression', 'click') AND decision_id <> '' GROUP BY event_type, decision_id
)
SELECT d.request_time_us, d.pctr, coalesce(c.time_us < s.time_us + $window, false) AS clicked
FROM decisions d
JOIN events s ON s.decision_id = d.decision_id AND s.event_type = 'impression' AND s.time_us < $until
LEFT JOIN events c ON c.decision_id = d.decision_id AND c.event_type = 'click' AND c.time_us >= s.time_us
WHERE d.pctr IS NOT NULL
ORDER BY d.request_time_us DESC, d.decision_id
LIMIT $rows
"""
