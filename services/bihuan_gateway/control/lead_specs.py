"""How an advertiser's leads are scored and where they go, as callers describe it."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, StrictInt, StringConstraints, model_validator

from bihuan_gateway.control.fields import ResourceId, Spec
from bihuan_gateway.control.webhook_target import MAX_URL_CHARS, checked_url

WebhookUrl = Annotated[str, StringConstraints(min_length=1, max_length=MAX_URL_CHARS), AfterValidator(checked_url)]
ActionName = Annotated[str, StringConstraints(min_length=1, max_length=64, pattern=r"^[a-z][a-z0-9_.-]*$")]


class LeadPointsSpec(Spec):
    """What one kind of action is worth; `click` and `landing` stand for these events."""

    action: ActionName
    points: Annotated[StrictInt, Field(ge=0, le=1000)]
    max_count: Annotated[StrictInt, Field(ge=1, le=100)] = 1


class LeadSpec(Spec):
    """
    From how many points on a lead goes to sales, and what gives points.

    Leads at the threshold or above go to `webhook_url`, the others into the list `nurture_audience`, which is made with
    the first of them where it does not exist. A way that is not named is not gone.
    """

    threshold: Annotated[StrictInt, Field(ge=1, le=100_000)]
    points: Annotated[tuple[LeadPointsSpec, ...], Field(min_length=1, max_length=100)]
    webhook_url: WebhookUrl | None = None
    nurture_audience: ResourceId | None = None

    @model_validator(mode="after")
    def _each_once(self) -> Self:
        if len({one.action for one in self.points}) < len(self.points):
            raise ValueError("points name each action once")
        return self
