"""Synthetic rows whose truth is known, and a lake that holds them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_shared.clock import DAY_US, parse_rfc3339_us

CUT_OFF_US = parse_rfc3339_us("2017-08-15T00:00:00Z")
START_US = CUT_OFF_US - 100 * DAY_US


@dataclass(frozen=True, slots=True)
class SyntheticLake:
    """Where it is, and the true click probability of each decision, by its number."""

    url: str
    truth: npt.NDArray[np.float64]
    clicked: npt.NDArray[np.bool_]


@pytest.fixture(scope="session")
def synthetic_lake(tmp_path_factory: pytest.TempPathFactory) -> SyntheticLake:
    """
    2,500 decisions, about one in nine clicked, of which seven in ten ordered.

    The log-odds of a click grow with coupon activity and with the interest in the candidate's coupon tag.
    """
    random = np.random.default_rng(11)
    root = tmp_path_factory.mktemp("lake")
    count = 2_500
    coupons, matches = random.gamma(1.0, 2.0, count), random.gamma(0.5, 2.0, count)
    truth = 1.0 / (1.0 + np.exp(-(-4.2 + 1.0 * np.log1p(coupons) + 1.6 * np.log1p(matches))))
    clicked = random.random(count) < truth
    ordered = clicked & (random.random(count) < 0.7)
    decisions = [_decision(n, float(coupons[n]), float(matches[n])) for n in range(count)]
    events = [_event("impression", n, 1) for n in range(count)]
    events += [_event("click", n, 2) for n in np.flatnonzero(clicked).tolist()]
    events += [_event("order", n, 3) for n in np.flatnonzero(ordered).tolist()]
    write(root, "decisions", decisions)
    write(root, "events", events)
    return SyntheticLake(str(root), truth, clicked)


@pytest.fixture
def write_lake(tmp_path: Path) -> Callable[[str, list[dict[str, object]]], str]:
    """Writes rows of a dataset and returns the lake."""

    def write_rows(dataset: str, rows: list[dict[str, object]]) -> str:
        write(tmp_path, dataset, rows)
        return str(tmp_path)

    return write_rows


def write(root: Path, dataset: str, rows: list[dict[str, object]]) -> None:
    folder = root / dataset / "date=2017-08-01"
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(rows), folder / f"part-{len(list(folder.iterdir()))}.parquet")


def _decision(n: int, coupons: float, match: float) -> dict[str, object]:
    tag = f"coupon:{n % 7}"
    profile = profile_pb2.Profile(
        person_id=1 + n // 2,
        interests=[profile_pb2.Interest(tag=tag, long_term=match), profile_pb2.Interest(tag="category:x", long_term=1)],
        activities=[
            profile_pb2.Activity(behaviour=common_pb2.BEHAVIOUR_COUPON, long_term=coupons, total=int(coupons) + 1)
        ],
    )
    return decision_row(n, profile=profile.SerializeToString(), person_id=1 + n // 2, tags=[tag])


def decision_row(n: int, **changes: object) -> dict[str, object]:
    """A decision as the gateway writes it, won by creative `cr1` of advertiser `a1`; `tags` are the winner's."""
    tags = changes.pop("tags", ["category:tea"])
    candidates = [
        {"creative_id": f"cr{k}", "campaign_id": f"c{k}", "advertiser_id": f"a{k}", "tags": tags if k == 1 else []}
        | {"pctr": 0.01, "pcvr": 0.02, "ecpm_micros": 1_000 * k}
        for k in (1, 2)
    ]
    row: dict[str, object] = {
        "decision_id": f"d{n}",
        "request_time_us": START_US + n * 1_000_000,
        "person_id": n + 1,
        "profile": b"",
        "placement_id": "p1",
        "channel": "email",
        "traffic_source": "ecommerce",
        "keywords": ["tea"],
        "candidates": candidates,
        "winner_creative_id": "cr1",
        "propensity": 1.0,
        "model_version": "prior",
    }
    return row | changes


def event_row(event_type: str, n: int, delay_s: float, **changes: object) -> dict[str, object]:
    """An event as attribution writes it, `delay_s` after decision `n`."""
    time_us = START_US + n * 1_000_000 + int(delay_s * 1_000_000)
    row: dict[str, object] = {
        "log_position": n,
        "event_type": event_type,
        "event_id": f"{event_type}-{n}",
        "token_id": f"t{n}",
        "decision_id": f"d{n}",
        "campaign_id": "c1",
        "creative_id": "cr1",
        "person_id": n + 1,
        "event_time_us": time_us,
        "receive_time_us": time_us,
        "order_id": "",
        "click_id": "",
        "paid_micros": 0,
    }
    return row | changes


def _event(event_type: str, n: int, delay_s: float) -> dict[str, object]:
    if event_type != "order":
        return event_row(event_type, n, delay_s)
    return event_row("order", n, delay_s, token_id="", decision_id="", campaign_id="", click_id=f"t{n}")
