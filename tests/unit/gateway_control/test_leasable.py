"""Which campaigns may be decided on without a call, as the snapshot tells it."""

import pytest
from fastapi import FastAPI

from tests.unit.gateway_control.outsiders import Api, campaign


def cap(level: str) -> list[dict[str, object]]:
    return [{"level": level, "window": "day", "max_impressions": 1}]


@pytest.mark.parametrize("status", ["active", "paused"])
async def test_a_cap_of_the_advertiser_counts_for_all_its_campaigns(
    admin: Api, tree: dict[str, object], app: FastAPI, status: str
) -> None:
    await admin.make("/v1/campaigns", campaign(id="c2", frequency_caps=cap("campaign")))
    held = app.state.snapshots.current().campaigns
    assert [(held[name].capped, held[name].advertiser.capped) for name in ("c1", "c2")] == [
        (False, False),
        (True, False),
    ]
    await admin.make("/v1/campaigns", campaign(id="c3", status=status, frequency_caps=cap("advertiser")))
    held = app.state.snapshots.current().campaigns
    assert ("c3" in held) is (status == "active")
    assert held["c1"].advertiser.capped
