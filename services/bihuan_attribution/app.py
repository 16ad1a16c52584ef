"""Composition root of attribution."""

import asyncio
from functools import partial

from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import BILLING, SqlBilling
from bihuan_attribution.budget_state_store import SqlBudgetState
from bihuan_attribution.budget_store import RedisBudgets
from bihuan_attribution.event_log_store import SqlEventLog, prepare_heads
from bihuan_attribution.event_sinks import STREAM, LakeSink, StreamSink
from bihuan_attribution.ledger_store import SqlLedger
from bihuan_attribution.metrics import CONSUMER_LAG
from bihuan_attribution.order_file_store import SqlOrderFiles
from bihuan_attribution.reconcile_store import SqlAuditor
from bihuan_attribution.report_store import SqlReports
from bihuan_attribution.rpc import AttributionServicer, Ports
from bihuan_attribution.settings import AttributionSettings
from bihuan_attribution.terms_store import SqlTerms
from bihuan_attribution.use_cases.consume import Bell, follow
from bihuan_attribution.use_cases.pass_on import FAN_OUT, LAKE, FanOut, LakeFeed
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_attribution.use_cases.record_events import Recorder
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_attribution.use_cases.settle_budgets import BUDGETS, BudgetSettler
from bihuan_shared.clock import clock_from
from bihuan_shared.lake import LakeWriter
from bihuan_shared.redis import open_redis
from bihuan_shared.rpc.server import ServiceApp
from bihuan_shared.sql import Database
from bihuan_shared.streams import StreamWriter
from bihuan_shared.tokens import KeyRing

SERVICE = "bihuan.attribution.v1.AttributionService"


async def build(settings: AttributionSettings) -> ServiceApp:
    """
    Wire the service.

    Raises ValueError without token keys or a Redis URL, and Unavailable where the database does not answer.
    """
    if settings.redis_url is None:
        raise ValueError("BIHUAN_REDIS_URL is not set")
    keys = KeyRing.parse(settings.token_keys.get_secret_value())
    clock = clock_from(settings.clock)
    database = await Database.open(settings.database_url, schema.metadata, schema="attribution")
    await prepare_heads(database)
    redis = await open_redis(settings.redis_url)
    log, budgets, truth = SqlEventLog(database), RedisBudgets(redis), SqlBudgetState(database)
    terms_store = SqlTerms(database)
    terms = TermsView(terms_store)
    await terms.refresh()
    committed, billed = Bell(), Bell()
    recorder = Recorder(log, keys, clock, committed.ring)
    reserver = Reserver(budgets, truth, terms, clock)
    settler = BudgetSettler(log, budgets, truth, terms, reserver)
    stream: StreamWriter[common_pb2.AcceptedEvent] = StreamWriter(redis, STREAM, shards=settings.event_shards)
    fan_out = FanOut(log, StreamSink(stream))
    lake = LakeFeed(log, LakeSink(LakeWriter(settings.lake_url)))
    bill = partial(SqlBilling(database).bill, settings.billing_batch)
    ports = Ports(
        clock=clock,
        recorder=recorder,
        reserver=reserver,
        terms_store=terms_store,
        terms=terms,
        budgets=budgets,
        ledger=SqlLedger(database),
        reports=SqlReports(database),
        orders=SqlOrderFiles(database),
        auditor=SqlAuditor(database),
        push_balance=settler.push_balance,
    )

    async def ready() -> bool:
        return all(await asyncio.gather(database.ping(), budgets.alive()))

    async def close() -> None:
        await recorder.close()
        await database.close()
        await redis.aclose()

    return ServiceApp(
        name="attribution",
        servicers=[
            (AttributionServicer(ports), attribution_pb2_grpc.add_AttributionServiceServicer_to_server, SERVICE)
        ],
        ready=ready,
        background=[
            ("billing", partial(follow, bill, committed.listener(), [billed.ring])),
            ("budgets", partial(follow, settler.step, billed.listener())),
            ("fanout", partial(follow, fan_out.step, committed.listener())),
            # Without a bell: a file a second at most, however small the commits are.
            ("lake", partial(follow, lake.step, asyncio.Event())),
            ("terms", partial(follow, partial(_refresh, terms), asyncio.Event())),
            ("lag", partial(follow, partial(_measure, log), asyncio.Event())),
        ],
        close=close,
    )


async def _refresh(terms: TermsView) -> int:
    await terms.refresh()
    return 0


async def _measure(log: SqlEventLog) -> int:
    head = await log.head()
    for consumer in (BILLING, BUDGETS, FAN_OUT, LAKE):
        CONSUMER_LAG.labels(consumer).set(head - await log.position(consumer))
    return 0
