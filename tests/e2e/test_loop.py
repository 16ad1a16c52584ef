"""The loop as a user closes it: create, decide, see, click, buy, refund, report, reconcile."""

from typing import Any

import psutil
import pytest
from loop_shop import Shop, at
from loop_stack import Stack, start_stack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(180)]


def differences(books: Any) -> list[int]:
    return [item["difference_nanos"] for item in books["currencies"]]


def test_a_click_is_billed_once_at_the_decided_price_and_the_books_agree(stack: Stack) -> None:
    shop = Shop(stack, {"model": "cpc", "bid_micros": 500_000})
    shown = shop.decide(0)
    assert 0 < shown["price"]["micros"] <= 500_000
    for _ in range(2):
        assert shop.follow(shown["impression_url"], 1).status_code == 200
        landed = shop.follow(shown["click_url"], 5)
        assert landed.status_code == 302
        assert landed.headers["location"].startswith("https://shop.example/tea?x=1&bh_click=")
    row = shop.report(impressions=1, clicks=1)
    assert (row["impressions"], row["clicks"]) == (1, 1)
    assert row["spend_nanos"] == shown["price"]["micros"] * 1_000
    assert not any(differences(shop.reconcile()))


def test_an_impression_costs_its_price_in_nanos(stack: Stack) -> None:
    shop = Shop(stack, {"model": "cpm", "bid_micros": 5_000_000})
    prices = []
    for visit in range(5):
        shown = shop.decide(visit)
        prices.append(shown["price"]["micros"])
        shop.follow(shown["impression_url"], visit)
    assert shop.report(impressions=5)["spend_nanos"] == sum(prices)


def test_a_sale_pays_its_commission_and_a_refund_takes_its_share_back(stack: Stack) -> None:
    pricing = {"model": "cps", "commission_rate_ppm": 100_000, "expected_order_micros": 40_000_000}
    shop = Shop(stack, pricing)
    shown = shop.decide(0)
    shop.follow(shown["impression_url"], 1)
    shop.follow(shown["click_url"], 5)
    shop.order(60, "o1", 40_000_000)
    row = shop.report(orders=1)
    assert (row["orders"], row["order_value_micros"]) == (1, 40_000_000)
    assert row["spend_nanos"] == 4_000_000_000
    refund = {"item_id": "tea", "quantity": 1, "refund_micros": 10_000_000}
    shop.order(120, "o1", 0, type="refund", items=[], refund_items=[refund])
    row = shop.report(order_value_micros=30_000_000)
    assert row["order_value_micros"] == 30_000_000
    assert row["spend_nanos"] == 3_000_000_000
    assert not any(differences(shop.reconcile()))


def test_a_repeated_request_id_gets_the_same_answer_and_another_body_is_refused(stack: Stack) -> None:
    shop = Shop(stack, {"model": "cpm", "bid_micros": 5_000_000})
    first = shop.decide(0, request_id=f"{shop.name}-r")
    assert shop.decide(30, request_id=f"{shop.name}-r") == first
    body = {"request_id": f"{shop.name}-r", "placements": [{"placement_id": shop.name}]}
    answer = shop.client.post("/v1/decisions", json=body, headers=at(31))
    assert answer.status_code == 409
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_lifetime_cap_lets_a_person_see_a_campaign_once_whichever_identifier_comes(stack: Stack) -> None:
    cap = {"level": "campaign", "window": "lifetime", "max_impressions": 1}
    shop = Shop(stack, {"model": "cpm", "bid_micros": 5_000_000}, frequency_caps=[cap])
    link = {
        "request_id": shop.name,
        "identifiers": [
            {"namespace": "cookie", "value": f"{shop.name}-one"},
            {"namespace": "cookie", "value": f"{shop.name}-two"},
        ],
        "evidence": {"kind": "deterministic", "source": "login"},
    }
    shop.post("/v1/events", {"links": [link]}, 0)
    shop.follow(shop.decide(1, "one")["impression_url"], 1)
    refused = shop.decide(2, "two")
    assert refused["creative"] is None
    assert refused["reason"] == "CAPPED"
    assert shop.decide(3, "three")["creative"] is not None


def test_a_forged_token_is_never_redirected_and_never_billed(stack: Stack) -> None:
    shop = Shop(stack, {"model": "cpc", "bid_micros": 500_000})
    shown = shop.decide(0)
    forged = shown["click_url"][:-6] + "AAAAAA"
    assert shop.follow(forged, 1).status_code == 400
    pixel = shop.follow(shown["impression_url"][:-6] + "AAAAAA", 1)
    assert (pixel.status_code, pixel.headers["content-type"]) == (200, "image/gif")


def test_a_killed_stack_leaves_no_process_and_loses_nothing(
    tmp_path_factory: pytest.TempPathFactory, stack: Stack
) -> None:
    state = tmp_path_factory.mktemp("killed")
    own = start_stack(state, stack.spans, {}, "--clock", "replay")
    shop = Shop(own, {"model": "cpm", "bid_micros": 5_000_000})
    shop.follow(shop.decide(0)["impression_url"], 1)
    before = shop.report(impressions=1)
    assert before["impressions"] == 1
    pids = list(own.running.pids.values())
    own.kill()
    assert_gone(pids)
    again = start_stack(state, stack.spans, {}, "--clock", "replay")
    try:
        shop.client = again.client()
        assert shop.report(impressions=1) == before
        assert not any(differences(shop.reconcile()))
    finally:
        assert again.stop() == 0


def assert_gone(pids: list[int]) -> None:
    """Wait until the kernel has ended and collected every one of these processes."""
    _, alive = psutil.wait_procs([psutil.Process(pid) for pid in pids if psutil.pid_exists(pid)], timeout=20)
    assert not [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]
