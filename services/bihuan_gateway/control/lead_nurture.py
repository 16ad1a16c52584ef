"""Lists of those who are nurtured: leads below the threshold come in, those that sales gets go out."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog

from bihuan_gateway.control.lead_ports import DueLead, NurtureLists
from bihuan_gateway.control.ports import ControlStore
from bihuan_gateway.control.resources import Resource
from bihuan_gateway.control.specs import AudienceSpec, Kind
from bihuan_shared.clock import Clock
from bihuan_shared.errors import AlreadyExists, FailedPrecondition, NotFound

_log = structlog.stdlib.get_logger(__name__)
DISPLAY_NAME = "Leads to nurture"


@dataclass(frozen=True, slots=True)
class Nurture:
    """Keeps an advertiser's list; only ever a list of that advertiser."""

    store: ControlStore
    lists: NurtureLists
    clock: Clock

    async def change(
        self, advertiser_id: str, audience_id: str, *, add: Sequence[DueLead] = (), remove: Sequence[DueLead] = ()
    ) -> bool:
        """
        Take persons of leads in or out; leads without a person pass by.

        False where the id is of no list that this advertiser has: nothing was changed, and only a change of the
        advertiser or of the list can help. Raises Unavailable and the like where scoring does not answer.
        """
        coming = sorted({lead.person_id for lead in add if lead.person_id})
        going = sorted({lead.person_id for lead in remove if lead.person_id})
        if not coming and not going:
            return True
        try:
            if not await self._own(advertiser_id, audience_id):
                return False
            await self.lists.change_members(audience_id, advertiser_id, add=coming, remove=going)
        except (AlreadyExists, FailedPrecondition, NotFound) as error:
            _log.warning("leads cannot be nurtured", advertiser_id=advertiser_id, reason=error.reason)
            return False
        return True

    async def _own(self, advertiser_id: str, audience_id: str) -> bool:
        """Whether the list is this advertiser's; made where there is none."""
        held = await self.store.find(Kind.AUDIENCES, audience_id)
        if held is None:
            # Scoring has it before the catalogue names it, as with every audience.
            await self.lists.create(audience_id, advertiser_id, DISPLAY_NAME, expression="", person_ids=())
            spec = AudienceSpec(advertiser_id=advertiser_id, display_name=DISPLAY_NAME)
            now_us = self.clock.now_us()
            resource = Resource(Kind.AUDIENCES, audience_id, advertiser_id, advertiser_id, 1, now_us, now_us, spec)
            held = await self.store.create(resource, None)
        if held.advertiser_id != advertiser_id:
            _log.warning("the list of nurtured leads is another advertiser's", advertiser_id=advertiser_id)
            return False
        return True
