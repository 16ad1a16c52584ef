"""
How fast a campaign spends.

Everything is as soon as possible until spend is fed back: `Throttle` is where even pacing goes. It is asked for each
offered campaign before scoring, with a figure in [0, 1) that is the same whenever the decision is repeated; a campaign
takes part where the figure is below its share of traffic.
"""

from collections.abc import Callable

from bihuan_gateway.control.snapshot import Campaign

Throttle = Callable[[Campaign, float], bool]


def as_soon_as_possible(campaign: Campaign, figure: float) -> bool:  # noqa: ARG001 - the shape of every throttle
    """Let every campaign take part in every auction."""
    return True


def traffic_figure(decision_id: str, campaign_id: str) -> float:
    """Give the figure of a campaign in a decision, evenly spread over [0, 1), without drawing anything at random."""
    mixed = int(decision_id[:13], 16) ^ int.from_bytes(campaign_id.encode()[-6:].ljust(6, b"\0"), "big")
    # Knuth's multiplicative hash spreads neighbouring campaign ids.
    return (mixed * 0x9E3779B97F4A7C15 % 2**64 >> 11) / 2**53
