"""Late findings: credited once, and the room that they make brought to those who decide."""

from collections import defaultdict
from collections.abc import Collection
from typing import Protocol

from bihuan_attribution.domain.findings import Credited, Finding


class Findings(Protocol):
    """Findings as committed."""

    async def credit(self, finding: Finding, now_us: int) -> Credited:
        """
        Give back what the events were charged, in one transaction.

        The same finding again answers what it did; AlreadyExists where its id came with another content.
        """
        ...


class SpentSums(Protocol):
    """What is gone from budgets, where it is decided."""

    async def push_spent(self, advertiser_id: str, campaign_ids: Collection[str], days: Collection[str]) -> None:
        """Bring spent sums and the balance up to date."""
        ...


async def report_invalid_traffic(finding: Finding, findings: Findings, spent: SpentSums, now_us: int) -> Credited:
    """
    Credit a finding.

    A repeated one is brought to the budgets again: the first call may have died between the two.
    """
    done = await findings.credit(finding, now_us)
    campaigns: dict[str, set[str]] = defaultdict(set)
    days: dict[str, set[str]] = defaultdict(set)
    for advertiser_id, (campaign_id, day) in done.spendings:
        campaigns[advertiser_id].add(campaign_id)
        days[advertiser_id] |= {day} - {""}
    for advertiser_id in sorted({one.advertiser_id for one in done.credits}):
        await spent.push_spent(advertiser_id, campaigns[advertiser_id], days[advertiser_id])
    return done
