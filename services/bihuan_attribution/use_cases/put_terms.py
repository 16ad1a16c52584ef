"""Terms: taken in with their store, and held in memory for those who decide."""

from collections.abc import Sequence

from bihuan_attribution.domain.budget_day import is_time_zone
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook, check_windows
from bihuan_attribution.use_cases.ports import Budgets, TermsStore
from bihuan_shared.errors import InvalidArgument


class TermsView:
    """All terms, as far as this process has seen them."""

    def __init__(self, store: TermsStore) -> None:
        self.book = TermsBook()
        self._store = store
        self._seq = 0

    async def refresh(self) -> None:
        """Take in what was committed since the last time, by whatever process."""
        self._seq, fresh = await self._store.since(self._seq)
        for one in fresh:
            self.book.add(one)

    def of_advertiser(self, advertiser_id: str, at_us: int) -> list[CampaignTerms]:
        """What is in force of every campaign of an advertiser."""
        held = (self.book.at(campaign_id, at_us) for campaign_id in self.book.of_advertiser(advertiser_id))
        return [one for one in held if one is not None]


async def put_terms(terms: Sequence[CampaignTerms], store: TermsStore, view: TermsView, budgets: Budgets) -> None:
    """
    Commit terms, all or none, and let them hold.

    Raises InvalidArgument for a window or a time zone that cannot be, and what `domain.terms.is_new` raises.
    """
    for index, one in enumerate(terms):
        check_windows(one, f"terms[{index}]")
        if not is_time_zone(one.time_zone):
            raise InvalidArgument.of(f"terms[{index}].time_zone", "is not a known IANA name")
    await store.put(terms)
    await view.refresh()
    # New caps count what was shown before them.
    for advertiser_id in sorted({one.advertiser_id for one in terms if one.caps}):
        await budgets.forget(advertiser_id)
