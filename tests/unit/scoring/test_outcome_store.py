"""Outcomes are what became of shown winners of one version, and only those that had their time."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bihuan_scoring.outcome_store import LakeOutcomes
from bihuan_shared.errors import Unavailable

Row = dict[str, object]
WriteLake = Callable[[str, list[Row]], str]
S = 1_000_000
BASE_US = 1_500_000_000 * S


def _decision(n: int, **changes: object) -> Row:
    scored = [{"creative_id": f"cr{k}", "pctr": 0.1 * (k + 1) + n / 1_000} for k in range(2)]
    row: Row = {"decision_id": f"d{n}", "request_time_us": BASE_US + n * S, "candidates": scored}
    return row | {"winner_creative_id": "cr1", "model_version": "m1"} | changes


def _event(kind: str, n: int, delay_s: int) -> Row:
    return {"event_type": kind, "decision_id": f"d{n}", "event_time_us": BASE_US + (n + delay_s) * S}


def test_shown_winners_of_the_version_count_once_they_had_their_time(write_lake: WriteLake) -> None:
    decisions = [_decision(n) for n in range(8)]
    decisions += [_decision(8, model_version="m2"), _decision(9, winner_creative_id=None), _decision(0)]
    write_lake("decisions", decisions)
    events = [_event("impression", n, 1) for n in (0, 1, 2, 3, 4, 8, 9)] + [_event("impression", 0, 2)]
    events += [_event("click", 1, 5), _event("click", 2, 1 + 30), _event("click", 3, 0), _event("click", 7, 3)]
    events += [_event("impression", 5, 100)]
    url = write_lake("events", events)
    seen = LakeOutcomes(url).of("m1", BASE_US, BASE_US + 50 * S, 30 * S)
    assert seen.predicted.tolist() == pytest.approx([0.2, 0.201, 0.202, 0.203, 0.204])
    assert seen.clicked.tolist() == [False, True, False, False, False]
    later = LakeOutcomes(url).of("m1", BASE_US + 1 * S, BASE_US + 4 * S, 30 * S)
    assert later.predicted.tolist() == pytest.approx([0.201, 0.202])


def test_empty_lake_has_seen_nothing(tmp_path: Path, write_lake: WriteLake) -> None:
    assert len(LakeOutcomes(str(tmp_path / "none")).of("m1", 0, 1, 1).predicted) == 0
    url = write_lake("decisions", [_decision(1)])
    assert len(LakeOutcomes(url).of("m1", BASE_US, BASE_US + 9 * S, 1).predicted) == 0


def test_lake_that_cannot_be_read_is_unavailable(tmp_path: Path) -> None:
    for dataset in ("decisions", "events"):
        (tmp_path / dataset / "date=2017-08-01").mkdir(parents=True)
        (tmp_path / dataset / "date=2017-08-01" / "part-0.parquet").write_bytes(b"no parquet")
    with pytest.raises(Unavailable):
        LakeOutcomes(str(tmp_path)).of("m1", 0, 1, 1)
