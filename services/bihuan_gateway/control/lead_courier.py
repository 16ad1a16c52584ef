"""
Delivering leads: to the webhook of sales, or into the list of those who are nurtured.

At least once: a lead is acknowledged after it was delivered, so a process that dies in between delivers it again under
the same name. Leads that are not due any more, because they changed or are gone, are not delivered.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from bihuan_gateway.control.lead_backoff import Backoff
from bihuan_gateway.control.lead_nurture import Nurture
from bihuan_gateway.control.lead_payload import lead_payload
from bihuan_gateway.control.lead_ports import DueLead, LeadQueue, Reply, Turn, Webhooks
from bihuan_gateway.control.lead_specs import LeadSpec
from bihuan_gateway.control.ports import ControlStore, Query
from bihuan_gateway.control.specs import AdvertiserSpec, Kind
from bihuan_gateway.control.webhook_signature import (
    DELIVERY_HEADER,
    EVENT_HEADER,
    SIGNATURE_HEADER,
    WebhookSecrets,
    signature,
)
from bihuan_shared.errors import BihuanError
from bihuan_shared.failpoints import failpoint

_log = structlog.stdlib.get_logger(__name__)
PAGE = 200
"""Leads of one advertiser that are looked at in one visit and way."""
AT_ONCE = 8
"""Deliveries to one receiver at the same time."""
ADVERTISERS_AT_ONCE = 32
_ADVERTISERS = 1_000


def _nothing(_outcome: str) -> None:
    """Count nothing."""


@dataclass(slots=True)
class LeadCourier:
    """
    Visits every advertiser that keeps leads, again and again, those that are slow beside the others.

    `now_s` is the time that receivers see. `count` learns what became of each delivery.
    """

    store: ControlStore
    queue: LeadQueue
    webhooks: Webhooks
    nurture: Nurture
    turn: Turn
    secrets: WebhookSecrets
    backoff: Backoff
    now_s: Callable[[], int]
    count: Callable[[str], None] = _nothing
    poll_s: float = 2.0
    _busy: set[str] = field(default_factory=set)
    _after: dict[str, str] = field(default_factory=dict)

    async def run(self) -> None:
        """Visit for ever; what fails is left for the next visit."""
        places = asyncio.Semaphore(ADVERTISERS_AT_ONCE)

        async def visit(advertiser_id: str, spec: LeadSpec) -> None:
            try:
                async with places:
                    await self.visit(advertiser_id, spec)
            finally:
                self._busy.discard(advertiser_id)

        async with asyncio.TaskGroup() as visits:
            while True:
                for advertiser_id, spec in await self._waiting():
                    if advertiser_id not in self._busy:
                        self._busy.add(advertiser_id)
                        visits.create_task(visit(advertiser_id, spec))
                await asyncio.sleep(self.poll_s)

    async def _waiting(self) -> list[tuple[str, LeadSpec]]:
        """Advertisers whose leads go somewhere; none while another gateway delivers or the database is away."""
        found: list[tuple[str, LeadSpec]] = []
        try:
            if not await self.turn.hold():
                return []
            after = ""
            while True:
                page = await self.store.list_page(Kind.ADVERTISERS, Query(_ADVERTISERS, after))
                found += [
                    (one.id, one.spec.leads)
                    for one in page.resources
                    if isinstance(one.spec, AdvertiserSpec) and one.spec.leads is not None
                ]
                if not (after := page.next_after):
                    return found
        except BihuanError as error:
            _log.warning("leads wait", reason=error.reason)
            return []

    async def visit(self, advertiser_id: str, spec: LeadSpec) -> None:
        """Deliver what is due of one advertiser, up to a page each way. Raises nothing that the next visit may mend."""
        try:
            if spec.nurture_audience is not None:
                await self._nurture(advertiser_id, spec.nurture_audience)
            if spec.webhook_url is not None and self.secrets.masters:
                await self._sell(advertiser_id, spec.webhook_url, spec.nurture_audience)
        except BihuanError as error:
            _log.warning("leads wait", advertiser_id=advertiser_id, reason=error.reason)

    async def _nurture(self, advertiser_id: str, audience_id: str) -> None:
        leads, _ = await self.queue.due(advertiser_id, "nurture", size=PAGE, page_token="")
        if leads and await self.nurture.change(advertiser_id, audience_id, add=leads):
            await self.queue.acknowledge([lead.name for lead in leads])
            for _ in leads:
                self.count("nurtured")

    async def _sell(self, advertiser_id: str, url: str, audience_id: str | None) -> None:
        if not self.backoff.may_reach(advertiser_id, url):
            return
        after = self._after.get(advertiser_id, "")
        leads, following = await self.queue.due(advertiser_id, "sales", size=PAGE, page_token=after)
        # Leads that a receiver does not take must not hide those behind them.
        self._after[advertiser_id] = following
        ready = [lead for lead in leads if self.backoff.may_send(lead.name)]
        for start in range(0, len(ready), AT_ONCE):
            some = ready[start : start + AT_ONCE]
            if audience_id is not None:
                # First, so that nobody stays on the list because a process died in between.
                await self.nurture.change(advertiser_id, audience_id, remove=some)
            await self._deliver(advertiser_id, url, some)
            if not self.backoff.may_reach(advertiser_id, url):
                return

    async def _deliver(self, advertiser_id: str, url: str, leads: Sequence[DueLead]) -> None:
        replies = await asyncio.gather(*(self._post(advertiser_id, url, lead) for lead in leads))
        answered = {lead.name: reply for lead, reply in zip(leads, replies, strict=True)}
        self.backoff.note(advertiser_id, answered)
        for reply in replies:
            self.count("delivered" if reply.is_taken else reply.fault or "refused")
        failed = [reply for reply in replies if not reply.is_taken]
        if failed:
            _log.warning("leads were not taken", advertiser_id=advertiser_id, count=len(failed), why=_why(failed[0]))
        taken = [name for name, reply in answered.items() if reply.is_taken]
        if taken:
            failpoint("lead_delivered")
            await self.queue.acknowledge(taken)

    async def _post(self, advertiser_id: str, url: str, lead: DueLead) -> Reply:
        body = lead_payload(lead)
        headers = {
            "content-type": "application/json",
            "user-agent": "Bihuan-Webhooks/1",
            EVENT_HEADER: "lead",
            DELIVERY_HEADER: f"{lead.lead_id}/{lead.revision}",
            SIGNATURE_HEADER: signature(self.secrets.of(advertiser_id), self.now_s(), body),
        }
        return await self.webhooks.post(url, body, headers)


def _why(reply: Reply) -> str:
    return reply.fault or f"status {reply.status}"
