"""`bihuan model report` on a version that was trained from a lake."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_cli.app import app
from bihuan_cli.stack.layout import StateFolder
from bihuan_scoring.app import train_model
from bihuan_shared.clock import DAY_US

CUT_OFF_US = 100 * DAY_US
ROWS = 600


def _write_lake(root: Path) -> None:
    """600 decisions of 90 days, of which about one in three is clicked, the more so the more coupons were used."""
    random = np.random.default_rng(3)
    coupons = random.gamma(1.0, 2.0, ROWS)
    clicked = random.random(ROWS) < 1.0 / (1.0 + np.exp(1.8 - 0.6 * coupons))
    decisions, events = [], []
    for n in range(ROWS):
        activity = profile_pb2.Activity(behaviour=common_pb2.BEHAVIOUR_COUPON, long_term=float(coupons[n]))
        profile = profile_pb2.Profile(person_id=n + 1, activities=[activity], withheld_count=n % 2)
        asked_us = n * 90 * DAY_US // ROWS
        candidate = {"creative_id": "cr", "campaign_id": "c", "advertiser_id": "a", "tags": ["category:tea"]}
        decisions.append(
            {"decision_id": f"d{n}", "request_time_us": asked_us, "person_id": n + 1, "candidates": [candidate]}
            | {"profile": profile.SerializeToString(), "winner_creative_id": "cr"}
        )
        kinds = [("impression", 1), ("click", 5 * DAY_US)] if clicked[n] else [("impression", 1)]
        events += [
            {"event_type": kind, "event_id": f"{kind}{n}", "token_id": f"t{n}", "decision_id": f"d{n}"}
            | {"campaign_id": "c", "click_id": "", "person_id": n + 1, "event_time_us": asked_us + delay_us}
            for kind, delay_us in kinds
        ]
    for name, rows in (("decisions", decisions), ("events", events)):
        folder = root / name / "date=1970-01-01"
        folder.mkdir(parents=True)
        pq.write_table(pa.Table.from_pylist(rows), folder / "part.parquet")


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("state")
    _write_lake(StateFolder(root).lake)
    return root


@pytest.fixture(scope="module")
def version(state: Path) -> str:
    return train_model(str(StateFolder(state).lake), StateFolder(state).models, CUT_OFF_US).version


def test_page_is_written_and_json_says_the_same(state: Path, version: str, tmp_path: Path) -> None:
    out = tmp_path / "card.html"
    written = CliRunner().invoke(app, ["model", "report", version, "--state", str(state), "--out", str(out)])
    assert written.exit_code == 0, written.output
    page = out.read_text()
    told = CliRunner().invoke(app, ["model", "report", version, "--state", str(state), "--json"])
    card = json.loads(told.output)
    click = card["responses"]["click"]
    assert card["model_version"] == version
    assert card["data"]["rows"] == ROWS
    assert card["data"]["persons"] == ROWS
    assert card["data"]["withheld_rows"] == ROWS // 2
    assert sum(one["rows"] for one in click["evaluation"]["forward"]["reliability"]) == click["metrics"]["time_rows"]
    assert click["evaluation"]["importance"][0]["feature"] == "activity_coupon_long"
    assert click["metrics"]["time_auc_low"] < click["metrics"]["time_auc"] < click["metrics"]["time_auc_high"]
    assert card["responses"]["order"]["metrics"]["rate"] > 0
    for said in (version, card["data_sha256"], "Reliability", "activity_coupon_long"):
        assert said in page


def test_changed_file_and_unknown_version_end_with_one(state: Path, version: str) -> None:
    unknown = CliRunner().invoke(app, ["model", "report", "../models", "--state", str(state)])
    assert unknown.exit_code == 1
    assert "no model version" in unknown.output
    path = StateFolder(state).models / version / "order.json"
    original = path.read_bytes()
    path.write_bytes(original + b" ")
    try:
        changed = CliRunner().invoke(app, ["model", "report", version, "--state", str(state), "--json"])
    finally:
        path.write_bytes(original)
    assert changed.exit_code == 1
    assert "does not match its hash" in changed.output
