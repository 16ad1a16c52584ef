"""Explaining one order: which touches led to it, what each model gives to each, and what was believed of it."""

from dataclasses import dataclass

from bihuan_attribution.domain.channel_learning import Learned
from bihuan_attribution.domain.credit.credit_model import DEFAULT_MODEL, CreditModel
from bihuan_attribution.domain.order import OrderState, relation_of
from bihuan_attribution.domain.order_path import OrderPath, order_path, touch_credits
from bihuan_attribution.domain.payout import commission_state
from bihuan_attribution.domain.touch import Touch, join_of
from bihuan_attribution.use_cases.learn_channels import ChannelWeights
from bihuan_attribution.use_cases.report_ports import OrderFile, OrderFiles, Restatement
from bihuan_shared.errors import NotFound


@dataclass(frozen=True, slots=True)
class Part:
    """A touch inside its window; the credits of one model sum to 1,000,000 over an order, or to 0."""

    touch: Touch
    join: str
    relation: str
    credits: dict[CreditModel, int]

    @property
    def credit_ppm(self) -> int:
        """What the default model gives it."""
        return self.credits[DEFAULT_MODEL]


@dataclass(frozen=True, slots=True)
class Explanation:
    """
    One order, its touches, oldest first, and the event that opened it.

    `learned` are the weights of the models that learn; None where all touches are of one campaign, which gets all.
    """

    order: OrderState
    parts: tuple[Part, ...]
    body: bytes
    stage: str
    history: tuple[Restatement, ...]
    learned: Learned | None


async def explain_order(
    advertiser_id: str, order_id: str, orders: OrderFiles, weights: ChannelWeights | None = None
) -> Explanation:
    """Raises NotFound where the order is not known, or not to this advertiser; else errors as of `ChannelWeights`."""
    found = await orders.find(advertiser_id, order_id)
    if found is None:
        raise NotFound("there is no such order")
    path = order_path(found.order, found.touches, found.terms)
    learned = await weights.of(advertiser_id) if weights is not None and len(set(path.channels)) > 1 else None
    return Explanation(
        order=found.order,
        parts=_parts(path, found, learned),
        body=found.body,
        stage=commission_state(found.order.commission, found.cover),
        history=found.history,
        learned=learned,
    )


def _parts(path: OrderPath, found: OrderFile, learned: Learned | None) -> tuple[Part, ...]:
    weights = learned.weights if learned is not None else {}
    given = {model: touch_credits(path, model, weights) for model in CreditModel}
    return tuple(
        Part(
            touch=touch,
            # A click that was met stays with its order, though its person may be another one by now.
            join=join_of(touch, path.order.buyer) or "person",
            relation=_relation(found, touch),
            credits={model: parts[place] for model, parts in given.items()},
        )
        for place, touch in enumerate(path.touches)
    )


def _relation(found: OrderFile, touch: Touch) -> str:
    terms = found.terms.at(touch.ad.campaign_id, touch.touch_time_us)
    return relation_of(found.order, terms) if terms is not None else ""
