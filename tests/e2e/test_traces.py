"""What calls what, as the exported spans show it."""

import pytest
from loop_shop import Shop
from loop_stack import Span, Stack

pytestmark = [pytest.mark.xdist_group("stack"), pytest.mark.timeout(120)]


def edges(trace: list[Span]) -> set[tuple[str, str]]:
    """Pairs of services, caller first, from spans and their parents."""
    by_id = {span.span_id: span for span in trace}
    return {
        (by_id[span.parent_id].service, span.service)
        for span in trace
        if span.parent_id in by_id and by_id[span.parent_id].service != span.service
    }


def test_a_decision_crosses_identity_profile_scoring_and_attribution(stack: Stack) -> None:
    shop = Shop(stack, {"model": "cpm", "bid_micros": 5_000_000})
    shop.decide(0)
    services = {"gateway", "identity", "profile", "scoring", "attribution"}
    trace = stack.spans.wait_for_trace("POST /v1/decisions", services)
    assert edges(trace) == {("gateway", name) for name in services - {"gateway"}}


def test_a_click_crosses_to_attribution_alone(stack: Stack) -> None:
    shop = Shop(stack, {"model": "cpc", "bid_micros": 500_000})
    shown = shop.decide(0)
    shop.follow(shown["click_url"], 1)
    trace = stack.spans.wait_for_trace("GET /t/c/{token}", {"gateway", "attribution"})
    assert edges(trace) == {("gateway", "attribution")}
