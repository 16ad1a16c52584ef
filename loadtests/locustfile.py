"""
Traffic from the ad request to the order, in the mix of a shop: most requests end without a click, few with an order.

Run it against a stack that is up:

    bihuan up --port 8080
    BIHUAN_KEY=<development key> locust -f loadtests/locustfile.py --host http://127.0.0.1:8080

Without a window: add `--headless -u 50 -r 10 -t 60s`; with `BIHUAN_REQUESTS=1000` it ends after so many requests.
Every user first makes the world once (advertiser, campaigns, placement); all names and amounts are synthetic. The run
ends with 1 where a request failed.
"""

import os
import random
import threading
import uuid
from datetime import UTC, datetime

import gevent
from locust import HttpUser, between, events, task
from locust.env import Environment

ADVERTISER = "load-shop"
PLACEMENT = "load-feed"
CAMPAIGNS = {
    "load-cpm": {"model": "cpm", "bid_micros": 5_000_000},
    "load-cpc": {"model": "cpc", "bid_micros": 800_000},
    "load-cps": {"model": "cps", "commission_rate_ppm": 80_000, "expected_order_micros": 50_000_000},
}
CONSENT = {
    "purposes": ["targeting", "personalisation", "measurement"],
    "data_classes": ["registration", "operation", "transaction"],
    "source": "load-test",
}
PEOPLE = 10_000
CLICK_SHARE = 0.05
ORDER_SHARE = 0.2
BROWSER = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
# A click that comes sooner than 200 ms after its impression is taken for a robot's.
LOOKS_FOR_S = (0.3, 1.5)

_world_lock = threading.Lock()
_world_made = threading.Event()


class Visitor(HttpUser):
    """A person who browses, sees advertisements, clicks a few and sometimes buys."""

    wait_time = between(0.0, 0.05)

    def on_start(self) -> None:
        """Authenticate; the first user makes the world."""
        self.client.headers["authorization"] = f"Bearer {os.environ['BIHUAN_KEY']}"
        self.random = random.Random()
        with _world_lock:
            if not _world_made.is_set():
                self._make_world()
                _world_made.set()

    @task(10)
    def see(self) -> None:
        """One ad request, its impression, at times a click and an order."""
        person = {"namespace": "cookie", "value": f"load-{self.random.randrange(PEOPLE)}"}
        body = {
            "request_id": uuid.uuid4().hex,
            "identifiers": [person],
            "placements": [{"placement_id": PLACEMENT}],
            "consent": CONSENT,
        }
        answer = self.client.post("/v1/decisions", json=body, name="POST /v1/decisions")
        if not answer.ok or answer.json()["placements"][0]["creative"] is None:
            return
        shown = answer.json()["placements"][0]
        self._follow(shown["impression_url"], "GET /t/i")
        if self.random.random() < CLICK_SHARE:
            gevent.sleep(self.random.uniform(*LOOKS_FOR_S))
            self._follow(shown["click_url"], "GET /t/c")
            self._follow(shown["landing_url"], "GET /t/l")
            if self.random.random() < ORDER_SHARE:
                self._order(person)

    @task(3)
    def browse(self) -> None:
        """A page of behaviour."""
        person = {"namespace": "cookie", "value": f"load-{self.random.randrange(PEOPLE)}"}
        tag = f"category:{self.random.randrange(50)}"
        event = {"event_id": uuid.uuid4().hex, "behaviour": "view", "tags": [tag], "consent": CONSENT}
        body = {"events": [event | {"identifiers": [person]}]}
        self.client.post("/v1/events", json=body, name="POST /v1/events")

    def _order(self, person: dict[str, str]) -> None:
        body = {
            "type": "order",
            "order_id": uuid.uuid4().hex,
            "advertiser_id": ADVERTISER,
            "order_time": datetime.now(UTC).isoformat(),
            "currency": "USD",
            "identifiers": [person],
            "consent": CONSENT,
            "items": [{"item_id": "tea", "quantity": 1, "paid_micros": self.random.randrange(5, 90) * 1_000_000}],
        }
        self.client.post("/v1/orders", json=body, name="POST /v1/orders")

    def _follow(self, url: str, name: str) -> None:
        self.client.get(url, name=name, headers={"user-agent": BROWSER}, allow_redirects=False)

    def _make_world(self) -> None:
        advertiser = {"id": ADVERTISER, "display_name": "Load shop (synthetic)", "currency": "USD", "time_zone": "UTC"}
        self._create("advertisers", advertiser)
        deposit = {"currency": "USD", "amount_micros": 10_000_000_000}
        headers = {"idempotency-key": "load-deposit"}
        self.client.post(f"/v1/advertisers/{ADVERTISER}/deposits", json=deposit, headers=headers, name="set up")
        self._create("placements", {"id": PLACEMENT, "channel": "feed", "floor_micros": 100_000, "currency": "USD"})
        for name, pricing in CAMPAIGNS.items():
            campaign = {"id": name, "advertiser_id": ADVERTISER, "display_name": name, "pricing": pricing}
            self._create("campaigns", campaign | {"pacing": {"mode": "asap"}})
            group = {"id": name, "campaign_id": name, "display_name": name, "placement_ids": [PLACEMENT]}
            self._create("ad-groups", group)
            creative = {"id": name, "ad_group_id": name, "landing_url": f"https://shop.example/{name}"}
            self._create("creatives", creative | {"review": "approved", "tags": ["category:1"]})

    def _create(self, collection: str, body: dict[str, object]) -> None:
        headers = {"idempotency-key": f"load:{collection}:{body['id']}"}
        self.client.post(f"/v1/{collection}", json=body, headers=headers, name="set up")


@events.init.add_listener
def end_after_requests(environment: Environment, **_: object) -> None:
    """End the run after `BIHUAN_REQUESTS` requests, where that is given: no clock decides how much was asked."""
    left = int(os.environ.get("BIHUAN_REQUESTS", "0"))
    if not left:
        return

    def count(**_: object) -> None:
        nonlocal left
        left -= 1
        if left == 0 and environment.runner is not None:
            # Not from here: this runs in one of the users that are then ended.
            gevent.spawn(environment.runner.quit)

    environment.events.request.add_listener(count)


@events.quitting.add_listener
def _fail_on_errors(environment: Environment, **_: object) -> None:
    if environment.stats.total.num_failures or not environment.stats.total.num_requests:
        environment.process_exit_code = 1
