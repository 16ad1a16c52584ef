"""Puts the delivery of leads together; the only file of it that names concrete stores, hops and receivers."""

import os
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

from bihuan_gateway import metrics
from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.lead_backoff import Backoff
from bihuan_gateway.control.lead_courier import LeadCourier
from bihuan_gateway.control.lead_hop import LeadHop, NurtureHop
from bihuan_gateway.control.lead_nurture import Nurture
from bihuan_gateway.control.lead_turn import SqlTurn
from bihuan_gateway.control.webhook_client import WebhookClient
from bihuan_gateway.control.webhook_signature import WebhookSecrets
from bihuan_gateway.hops import Hops
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import SECOND_US, Clock, SystemClock
from bihuan_shared.sql import Database

_KEPT_POLLS = 15
"""Polls that a gateway may miss before another one takes the turn."""


def webhook_secrets(settings: Settings) -> WebhookSecrets:
    """What advertisers' secrets are derived from (ValueError for one that is too short)."""
    return WebhookSecrets.parse(settings.webhook_secrets.get_secret_value())


def build_courier(
    settings: Settings, database: Database, hops: Hops, clock: Clock, stack: AsyncExitStack
) -> Callable[[], Awaitable[None]]:
    """What delivers leads as long as it runs; `stack` closes what it opens."""
    store, client = SqlControlStore(database), WebhookClient(allow_loopback=settings.webhook_allow_loopback)
    stack.push_async_callback(client.close)
    courier = LeadCourier(
        store=store,
        queue=LeadHop(hops.attribution),
        webhooks=client,
        nurture=Nurture(store, NurtureHop(hops.audiences), clock),
        # A replayed clock stands still between calls, and receivers compare times with their own.
        turn=SqlTurn(
            database, os.urandom(16).hex(), SystemClock(), int(settings.leads_poll_s * _KEPT_POLLS * SECOND_US)
        ),
        secrets=webhook_secrets(settings),
        backoff=Backoff(time.monotonic, random.random),
        now_s=lambda: int(time.time()),
        count=lambda outcome: metrics.LEAD_DELIVERIES.labels(outcome).inc(),
        poll_s=settings.leads_poll_s,
    )
    return courier.run
