"""Audiences as the gateway answers them, and as tables."""

import msgspec
from rich.table import Table


class Lift(msgspec.Struct):
    """Held-out lift in the best `share` of the pool."""

    share: float
    lift: float
    low: float
    high: float


class CurvePoint(msgspec.Struct):
    """A size that a package could have."""

    size: int
    recall: float
    precision: float
    lift: float


class Dropped(msgspec.Struct):
    """A feature that gave the seed away."""

    feature: str
    reason: str
    value: float


class Reason(msgspec.Struct):
    """What makes the package alike."""

    feature: str
    contribution: float
    package_mean: float
    pool_mean: float


class Evidence(msgspec.Struct):
    """What speaks for a look-alike."""

    seed_audience_id: str
    seed_size: int
    pool_size: int
    label_frequency: float
    lifts: list[Lift]
    curve: list[CurvePoint]
    dropped: list[Dropped]
    reasons: list[Reason]
    figures: dict[str, float]


class Audience(msgspec.Struct):
    """An audience as it stands."""

    id: str
    advertiser_id: str
    display_name: str
    state: str
    size: int
    size_below_floor: bool
    progress: float
    failure: str
    look_alike_evidence: Evidence | None = None

    @property
    def told_size(self) -> str:
        """Its size for people."""
        return "too few persons to be told" if self.size_below_floor else f"about {self.size:,} persons"


def evidence_tables(evidence: Evidence) -> list[Table]:
    """Lifts, reasons, and what was dropped."""
    lifts = Table("best share", "lift", "95 % interval", title=f"Held-out lift over {evidence.seed_audience_id}")
    for one in evidence.lifts:
        lifts.add_row(f"{one.share:.0%}", f"{one.lift:.2f}", f"{one.low:.2f} to {one.high:.2f}")
    reasons = Table("feature", "log-odds", "package", "pool", title="What makes it alike")
    for reason in evidence.reasons[:10]:
        means = f"{reason.package_mean:,.2f}", f"{reason.pool_mean:,.2f}"
        reasons.add_row(reason.feature, f"{reason.contribution:+.3f}", *means)
    tables = [lifts, reasons]
    if evidence.dropped:
        dropped = Table("feature", "why", "value", title="Not used, since it gives the seed away")
        for each in evidence.dropped:
            dropped.add_row(each.feature, each.reason, f"{each.value:.3f}")
        tables.append(dropped)
    return tables
