"""A shop of its own for a test: one advertiser, one campaign, one placement, and a visitor."""

import time
import uuid
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from loop_stack import Stack

CONSENT = {
    "purposes": ["targeting", "measurement"],
    "data_classes": ["registration", "operation", "transaction"],
    "source": "test",
}
T0_S = 1_700_000_000
PATIENCE_S = 20.0
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


class Shop:
    """An advertiser of its own with one campaign, and a visitor of its placement."""

    def __init__(self, stack: Stack, pricing: dict[str, object], **campaign: object) -> None:
        self.name = f"shop-{uuid.uuid4().hex[:12]}"
        self.client = stack.client()
        self.create("advertisers", {"currency": "USD", "time_zone": "UTC"})
        deposit = {"currency": "USD", "amount_micros": 1_000_000_000}
        self.post(f"/v1/advertisers/{self.name}/deposits", deposit, 0, headers={"idempotency-key": self.name})
        self.create("placements", {"channel": "feed", "floor_micros": 100_000, "currency": "USD"})
        self.create("campaigns", {"advertiser_id": self.name, "pricing": pricing} | campaign)
        self.create("ad-groups", {"campaign_id": self.name, "placement_ids": [self.name]})
        self.create(
            "creatives",
            {"ad_group_id": self.name, "landing_url": "https://shop.example/tea?x=1", "review": "approved"},
        )

    def create(self, collection: str, body: dict[str, object]) -> None:
        self.post(f"/v1/{collection}", {"id": self.name, "display_name": self.name} | body, 0)

    def post(self, path: str, body: object, at_s: float, headers: dict[str, str] | None = None) -> Any:
        answer = self.client.post(path, json=body, headers=at(at_s) | (headers or {}))
        assert answer.status_code < 300, answer.text
        return answer.json()

    def decide(self, at_s: float, person: str = "p", request_id: str | None = None) -> Any:
        body = {
            "request_id": request_id or uuid.uuid4().hex,
            "identifiers": [{"namespace": "cookie", "value": f"{self.name}-{person}"}],
            "placements": [{"placement_id": self.name}],
            "consent": CONSENT,
        }
        return self.post("/v1/decisions", body, at_s)["placements"][0]

    def follow(self, url: str, at_s: float) -> httpx.Response:
        parts = urlsplit(url)
        return self.client.get(parts.path, headers=at(at_s) | {"user-agent": BROWSER})

    def order(self, at_s: float, order_id: str, micros: int, person: str = "p", **more: object) -> Any:
        body: dict[str, object] = {
            "type": "order",
            "order_id": order_id,
            "advertiser_id": self.name,
            "order_time": rfc3339(at_s),
            "currency": "USD",
            "identifiers": [{"namespace": "cookie", "value": f"{self.name}-{person}"}],
            "consent": CONSENT,
            "items": [{"item_id": "tea", "quantity": 2, "paid_micros": micros}],
        }
        return self.post("/v1/orders", body | more, at_s)

    def report(self, **expected: int) -> dict[str, Any]:
        """
        The advertiser's row, once everything so far is billed and the row says what is expected.

        A beacon may have been acknowledged from the gateway's spool, so its figure can come a moment later; a figure
        that does not come is left to the caller's assertion.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            books = self.reconcile(positions_only="true")
            rows = self.client.get("/v1/reports", params={"dimensions": "advertiser"}).json()["rows"]
            row: dict[str, Any] = next((row for row in rows if row["advertiser"] == self.name), {})
            billed = all(position >= books["head_position"] for position in books["consumers"].values())
            met = bool(row) and all(row[name] == figure for name, figure in expected.items())
            if (billed and met) or time.monotonic() > deadline_s:
                return row
            time.sleep(0.05)

    def reconcile(self, **params: str) -> Any:
        answer = self.client.get("/v1/ledger/reconciliation", params=params)
        assert answer.status_code == 200, answer.text
        return answer.json()


def rfc3339(at_s: float) -> str:
    return datetime.fromtimestamp(T0_S + at_s, UTC).isoformat()


def at(at_s: float) -> dict[str, str]:
    return {"bihuan-time": rfc3339(at_s).replace("+00:00", "Z")}
