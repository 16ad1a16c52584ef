"""One person on two devices, linked and unlinked: credit, caps and profile follow."""

import time
from collections.abc import Callable
from typing import Any

import grpc
import pytest
from loop_shop import PATIENCE_S, Shop
from loop_stack import Stack

from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]

CPS = {"model": "cps", "commission_rate_ppm": 100_000, "expected_order_micros": 40_000_000}


def link(shop: Shop, *persons: str) -> str:
    """The id of a new piece of evidence that devices are one person's."""
    identifiers = [{"namespace": "cookie", "value": f"{shop.name}-{person}"} for person in persons]
    evidence = {"kind": "deterministic", "source": "login"}
    body = {"links": [{"request_id": shop.name, "identifiers": identifiers, "evidence": evidence}]}
    found: str = shop.post("/v1/events", body, 2)["links"][0]["evidence_id"]
    return found


def unlink(stack: Stack, evidence_id: str) -> None:
    with grpc.insecure_channel(stack.running.targets["identity"]) as channel:
        stub = identity_pb2_grpc.IdentityServiceStub(channel)
        request = identity_pb2.UnlinkRequest(evidence_id=evidence_id, request_id=f"un-{evidence_id}")
        metadata = (("authorization", f"Bearer {stack.secrets.gateway_secret}"),)
        stub.Unlink(request, metadata=metadata, timeout=10)


def credited_to(shop: Shop, order_id: str) -> list[str]:
    """Campaigns that an order is credited to, once it is billed."""
    deadline_s = time.monotonic() + PATIENCE_S
    while True:
        answer = shop.client.get(f"/v1/orders/{order_id}/attribution", params={"advertiser_id": shop.name})
        if answer.status_code == 200 or time.monotonic() > deadline_s:
            assert answer.status_code == 200, answer.text
            return [touch["campaign_id"] for touch in answer.json()["touches"] if touch["credit_ppm"]]
        time.sleep(0.05)


def eventually(what: Callable[[], Any], expected: object) -> None:
    """Changes are followed within moments."""
    deadline_s = time.monotonic() + PATIENCE_S
    while what() != expected:
        assert time.monotonic() < deadline_s, f"{what()} is not {expected}"
        time.sleep(0.05)


def test_order_is_credited_to_the_click_on_another_device_while_both_are_linked(stack: Stack) -> None:
    shop = Shop(stack, CPS)
    shown = shop.decide(0, "phone")
    shop.follow(shown["impression_url"], 1)
    shop.follow(shown["click_url"], 2)
    shop.order(10, f"{shop.name}-0", 1_000_000, "laptop")
    assert credited_to(shop, f"{shop.name}-0") == []
    evidence_id = link(shop, "laptop", "phone")
    tried = iter(range(1, 1_000))

    def credited() -> list[str]:
        """What an order of this moment is credited to."""
        order_id = f"{shop.name}-{next(tried)}"
        shop.order(20, order_id, 1_000_000, "laptop")
        return credited_to(shop, order_id)

    eventually(credited, [shop.name])
    unlink(stack, evidence_id)
    eventually(credited, [])
    assert not any(item["difference_nanos"] for item in shop.reconcile()["currencies"])
