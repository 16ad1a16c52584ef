"""Which sets of identifiers were seen together lately, so that their evidence is refreshed now and then, not always."""

from collections import OrderedDict

from bihuan_identity.domain.resolving import Item

REFRESH_PERIOD_US = 86_400 * 1_000_000
"""How often seeing the same identifiers together counts as evidence again: ties lapse after months at least."""


class SeenTogether:
    """
    The sets of the last day, at most `max_sets` of them; the longest unseen goes first, and counts as news again.

    Only this process knows them: after a restart each set is written once more.
    """

    def __init__(self, max_sets: int = 100_000) -> None:
        self._max_sets = max_sets
        self._times_us: OrderedDict[int, int] = OrderedDict()

    def is_news(self, item: Item) -> bool:
        """Tell whether these identifiers were not seen together for a day, and note that they were now."""
        seen = hash(frozenset(identifier.key for identifier in item.identifiers))
        before_us = self._times_us.get(seen)
        if before_us is not None and item.time_us - before_us < REFRESH_PERIOD_US:
            return False
        self._times_us[seen] = item.time_us
        self._times_us.move_to_end(seen)
        if len(self._times_us) > self._max_sets:
            self._times_us.popitem(last=False)
        return True
