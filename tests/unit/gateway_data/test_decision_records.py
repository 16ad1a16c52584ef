"""Decision records are one file a batch, in the hour of its latest decision, however many days it spans."""

from pathlib import Path

from bihuan_gateway.data.decision_records import SCHEMA, LakeDecisionRecords
from bihuan_gateway.data.ports import DecisionRecord
from bihuan_shared.clock import DAY_US, parse_rfc3339_us
from bihuan_shared.lake import open_lake

NOON_US = parse_rfc3339_us("2017-08-15T12:30:00Z")


def _record(number: int, time_us: int) -> DecisionRecord:
    return DecisionRecord(f"d{number}", time_us, 1, b"", "p1", "email", "", (), (), None, 1.0, "prior")


async def test_a_batch_over_days_is_one_file_and_replaces_itself(tmp_path: Path) -> None:
    lake = open_lake(str(tmp_path))
    batch = [_record(n, NOON_US + offset) for n, offset in enumerate((0, -3 * DAY_US, DAY_US, -DAY_US))]
    for _ in range(2):
        records = LakeDecisionRecords(lake)
        for record in batch:
            records.add(record)
        await records.flush()
    assert lake.list("decisions") == ["decisions/date=2017-08-16/hour=12/d0.parquet"]
    assert lake.dataset("decisions", SCHEMA).to_table()["decision_id"].to_pylist() == ["d0", "d1", "d2", "d3"]
