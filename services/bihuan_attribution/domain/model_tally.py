"""Orders under several models of attribution, added up by campaign."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from bihuan_attribution.domain.credit.apportion import apportion
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.order_credits import WHOLE_PPM
from bihuan_attribution.domain.order_path import NO_WEIGHTS, OrderPath, Weights, campaign_credits


@dataclass(frozen=True, slots=True)
class ModelLine:
    """What one model gives one campaign: millionths of orders, and value in micros."""

    campaign_id: str
    model: CreditModel
    currency: str
    credited_orders_ppm: int
    credited_value_micros: int


class ModelTally:
    """Adds up orders, one after the other; memory grows with campaigns, not with orders."""

    def __init__(self, models: Sequence[CreditModel], weights: Weights = NO_WEIGHTS) -> None:
        self._models = tuple(models)
        self._weights = weights
        # By (model, currency), then by campaign: millionths, and millionths of micros.
        self._orders: dict[tuple[CreditModel, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self._values: dict[tuple[CreditModel, str], dict[str, int]] = defaultdict(lambda: defaultdict(int))
        self.order_count = 0
        self.unattributed_count = 0

    def add(self, path: OrderPath) -> None:
        """Take in one paid order."""
        if not path.touches:
            self.unattributed_count += 1
            return
        self.order_count += 1
        order = path.order
        for (model, campaign_id), ppm in campaign_credits(path, self._models, self._weights).items():
            self._orders[model, order.currency][campaign_id] += ppm
            self._values[model, order.currency][campaign_id] += ppm * order.value_micros

    def lines(self) -> list[ModelLine]:
        """
        What each model gives each campaign, by campaign, model and currency.

        Values are rounded by largest remainders, so that those of one model sum to the value of the orders it credits.
        """
        found: list[ModelLine] = []
        for (model, currency), orders in self._orders.items():
            campaigns = sorted(orders)
            shares = [self._values[model, currency][one] for one in campaigns]
            parts = apportion(sum(shares) // WHOLE_PPM, shares)
            found += [
                ModelLine(campaign_id, model, currency, orders[campaign_id], part)
                for campaign_id, part in zip(campaigns, parts, strict=True)
            ]
        places = {model: place for place, model in enumerate(CreditModel)}
        return sorted(found, key=lambda one: (one.campaign_id, places[one.model], one.currency))
