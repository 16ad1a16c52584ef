"""What a store promises, it promises on a cluster too."""

import pytest


def test_no_contract_is_kept_on_one_node_only(request: pytest.FixtureRequest) -> None:
    """`any_redis_url` is one node, then three masters; whoever asks for `redis_url` alone would miss the second."""
    alone = [
        item.nodeid
        for item in request.session.items
        if "tests/contract/" in item.nodeid
        and isinstance(item, pytest.Function)
        and "redis_url" in item.fixturenames
        and not {"any_redis_url", "redis_cluster_url"} & set(item.fixturenames)
    ]
    assert alone == []
