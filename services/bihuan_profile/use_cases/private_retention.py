"""How long things are kept, private tags included."""

from collections.abc import Iterable
from dataclasses import dataclass

from bihuan_profile.domain.record import Record
from bihuan_profile.domain.retention import Retention
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.use_cases.private_tags import PrivateTags


@dataclass(frozen=True, slots=True)
class PrivateRetention:
    """
    The platform's retention, and what private tags say of their own values.

    Values of a tag that was deleted are not kept. Of a tag that nothing is known of, as while its owner has not put it
    again after the store was lost, values are kept as what a person states.
    """

    platform: Retention
    taxonomy: Taxonomy
    private: PrivateTags

    async def of(self, records: Iterable[Record]) -> Retention:
        """The retention of whatever some records hold. Raises Unavailable."""
        # Every read asks, and most names have no namespace.
        names = {name for record in records for name in record.facts if "." in name}
        if not names:
            return self.platform
        return self.platform.with_private(await self.private.for_names(self.taxonomy, names), names)
