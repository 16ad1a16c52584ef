"""Look-alike audiences as callers ask for them, and the evidence for one as it is told."""

from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, model_validator

from bihuan_gateway.control.fields import Moment, ResourceId, Spec

MAX_TARGET = 10**10


class LookAlikeSpec(Spec):
    """
    Persons like those of a seed of 100 or more: `target_size` of them, or as many as keep `least_precision`.

    What was learnt of a person at `seed_cut_off_time` or later, when the seed had been drawn, is not used.
    """

    seed_audience_id: ResourceId
    target_size: Annotated[StrictInt, Field(ge=1, le=MAX_TARGET)] | None = None
    least_precision: Annotated[float, Field(gt=0, le=1)] | None = None
    seed_cut_off_time: Moment | None = None

    @model_validator(mode="after")
    def _of_one_size(self) -> Self:
        if (self.target_size is None) == (self.least_precision is None):
            raise ValueError("exactly one of target_size and least_precision is needed")
        return self


class Told(BaseModel):
    """A part of the evidence; rounded, so that no figure tells of one person."""

    model_config = ConfigDict(frozen=True)


class LiftView(Told):
    """
    How many times as many held-out seeds as by chance are in the best `share` of the pool.

    `low` and `high` are the ends of the 95 % bootstrap interval.
    """

    share: float
    lift: float
    low: float
    high: float


class CurvePointView(Told):
    """A size that the package could have; `precision` is an upper estimate."""

    size: int
    recall: float
    precision: float
    lift: float


class DroppedView(Told):
    """A feature that was not used, since it gives the seed away: DEFINES_SEED, AFTER_CUT_OFF or SEPARATES_ALONE."""

    feature: str
    reason: str
    value: float


class ReasonView(Told):
    """By how much, in log-odds, a feature lifts the package above the pool; means as the model sees them."""

    feature: str
    contribution: float
    package_mean: float
    pool_mean: float


class EvidenceView(Told):
    """How good a look-alike is, and why."""

    seed_audience_id: str
    seed_size: int
    pool_size: int
    label_frequency: float
    lifts: tuple[LiftView, ...]
    curve: tuple[CurvePointView, ...]
    dropped: tuple[DroppedView, ...]
    reasons: tuple[ReasonView, ...]
    figures: dict[str, float]
