"""Terms: taken in with their store, and held in memory for those who decide."""

from bihuan_attribution.domain.booking_rules import check_booking
from bihuan_attribution.domain.budget_day import is_time_zone
from bihuan_attribution.domain.terms import CampaignTerms, TermsBook, check_windows
from bihuan_attribution.use_cases.ports import Budgets, TermsBatch, TermsStore
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


async def put_terms(batch: TermsBatch, store: TermsStore, view: TermsView, budgets: Budgets) -> None:
    """
    Commit terms, all or none, and let them hold.

    Raises InvalidArgument for an empty batch and for a window, a time zone or a booking that cannot be, and what
    `domain.terms.is_new` and `domain.booking_rules` raise.
    """
    if not any((batch.terms, batch.advertisers, batch.placements, batch.bookings)):
        raise InvalidArgument.of("terms", "at least one of the lists must hold something")
    for index, one in enumerate(batch.terms):
        check_windows(one, f"terms[{index}]")
        _check_time_zone(one.time_zone, f"terms[{index}]")
    for index, account in enumerate(batch.advertisers):
        _check_time_zone(account.time_zone, f"advertisers[{index}]")
    for index, booking in enumerate(batch.bookings):
        check_booking(booking, f"bookings[{index}]")
    await store.put(batch)
    await view.refresh()
    # New caps count what was shown before them.
    for advertiser_id in sorted({one.advertiser_id for one in batch.terms if one.caps}):
        await budgets.forget(advertiser_id)


def _check_time_zone(name: str, path: str) -> None:
    if not is_time_zone(name):
        raise InvalidArgument.of(f"{path}.time_zone", "is not a known IANA name")
