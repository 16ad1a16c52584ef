"""
Removal effects of channels in a Markov chain, exactly.

People move from `start` over channels to `conversion` or `null` (Anderl, Becker, von Wangenheim and Schumann 2016,
"Mapping the customer journey", IJRM 33(3); the removal effect after Abhishek, Fader and Hosanagar 2012, "Media exposure
through the funnel"). With transition probabilities `Q` among the states, `s` from the start and `b` to a conversion,

    N = (I - Q)^-1,   u = N b,   v' = s' N,   P = s' u

`u` is the probability to convert from a state, `v` how often a state is visited, and `P` the probability of a
conversion. A channel is removed by sending everybody who comes to it to `null`. The first visit to one of its states
`S` has the distribution `h' = v_S' N_SS^-1`, so that what is lost is

    P - P_without = v_S' (N_SS)^-1 u_S,   in the first order simply   v_c u_c / N_cc

and one inverse serves every channel. The removal effect is the loss over `P`. For `Measure.VALUE`, `b` is the expected
value instead of the probability. Channels are weighed by their removal effects.
"""

from dataclasses import dataclass

import numpy as np

from bihuan_attribution.domain.credit.chain import Chain, Floats, count_chain
from bihuan_attribution.domain.credit.channel_weights import weights_of
from bihuan_attribution.domain.credit.paths import Measure, Paths, table_of

_SCALE = 2**53


@dataclass(frozen=True, slots=True)
class RemovalEffects:
    """
    What is lost without each channel, as a share of the whole: `effects` of shape (channels,), each from 0 to 1.

    `whole` is the probability of a conversion, or its expected value, a path.
    """

    channels: tuple[str, ...]
    effects: Floats
    whole: float


def markov(paths: Paths, *, order: int = 1, measure: Measure = Measure.CONVERSIONS) -> dict[str, int]:
    """
    Weigh channels by their removal effects; the weights sum to `WHOLE_WEIGHT`, or are all 0 without a conversion.

    Solved in floating point: on another machine a weight may differ in its last digits, so store what was learned.
    Errors as of `removal_effects`.
    """
    found = removal_effects(paths, order=order, measure=measure)
    return weights_of(found.channels, [int(effect * _SCALE) for effect in found.effects.tolist()])


def removal_effects(paths: Paths, *, order: int = 1, measure: Measure = Measure.CONVERSIONS) -> RemovalEffects:
    """
    Compute the removal effect of every channel in a chain of the first to the third order.

    Costs one pass over the steps and one inverse of a matrix of `m` states, at most `MAX_STATES` of them; beyond, or
    with another order, `InvalidArgument` is raised.
    """
    table = table_of(paths)
    chain = count_chain(table, order, measure)
    effects = np.zeros(len(table.channels))
    if not chain.gains.any():
        return RemovalEffects(table.channels, effects, 0.0)
    leaving = chain.leaving
    moves = chain.moves / leaving[:, None]
    fundamental: Floats = np.linalg.inv(np.eye(len(leaving)) - moves).astype(np.float64, copy=False)
    start = chain.begins / chain.begins.sum()
    gain_from = fundamental @ (chain.gains / leaving)
    visits = start @ fundamental
    whole = float(start @ gain_from)
    _fill_losses(effects, chain, fundamental, visits, gain_from)
    return RemovalEffects(table.channels, np.clip(effects / whole, 0.0, 1.0), whole)


def _fill_losses(losses: Floats, chain: Chain, fundamental: Floats, visits: Floats, gain_from: Floats) -> None:
    """Set what is lost without each channel that occurs."""
    if len(np.unique(chain.newest)) == len(chain.newest):
        losses[chain.newest] = visits * gain_from / np.diagonal(fundamental)
        return
    for channel in np.unique(chain.newest):
        states = np.flatnonzero(chain.newest == channel)
        inner = fundamental[np.ix_(states, states)]
        losses[channel] = visits[states] @ np.linalg.solve(inner, gain_from[states])
