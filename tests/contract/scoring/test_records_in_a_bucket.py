"""Labels are read from a bucket as they are from a folder."""

import pyarrow as pa
import pytest

from bihuan_scoring.records import read_labelled_rows
from bihuan_shared.errors import NotFound, Unavailable
from bihuan_shared.lake import open_lake

CANDIDATE = {"creative_id": "cr1", "campaign_id": "c1", "advertiser_id": "a1", "tags": ["category:tea"]}
DECISION = {"decision_id": "d1", "request_time_us": 10, "person_id": 1, "profile": b"", "keywords": ["k"]}


async def test_shown_decisions_have_their_labels(bucket_url: str) -> None:
    lake = open_lake(bucket_url)
    with pytest.raises(NotFound):
        list(read_labelled_rows(bucket_url, 100))
    decisions = [DECISION | {"candidates": [CANDIDATE], "winner_creative_id": "cr1"}]
    await lake.write("decisions", "d1", pa.Table.from_pylist(decisions), time_us=10)
    assert list(read_labelled_rows(bucket_url, 100)) == []
    events = [
        {"event_type": kind, "event_id": kind, "token_id": "t1", "decision_id": "d1", "event_time_us": time_us}
        for kind, time_us in (("impression", 11), ("click", 12))
    ]
    await lake.write("events", "1-2", pa.Table.from_pylist(events), time_us=12)
    (row,) = read_labelled_rows(bucket_url, 100)
    assert (row.decision_id, row.clicked, row.ordered, row.candidate.tags) == ("d1", True, False, ("category:tea",))
    assert row.context.keywords == ("k",)


def test_a_bucket_that_is_not_there_is_unavailable(bucket_url: str) -> None:
    with pytest.raises(Unavailable):
        list(read_labelled_rows(bucket_url.replace("s3://", "s3://no-"), 100))
