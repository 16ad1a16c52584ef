"""Composition root of attribution."""

import asyncio
import os
import secrets
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from bihuan.attribution.v1 import attribution_pb2_grpc
from bihuan.common.v1 import common_pb2
from bihuan_attribution import schema
from bihuan_attribution.billing_store import BILLING, SqlBilling
from bihuan_attribution.book_rows_store import SqlBookRows
from bihuan_attribution.booking_day_store import SqlBookingDays
from bihuan_attribution.booking_list_store import SqlBookingList
from bihuan_attribution.budget_state_store import SqlBudgetState
from bihuan_attribution.budget_store import RedisBudgets
from bihuan_attribution.event_log_store import SqlEventLog, prepare_heads
from bihuan_attribution.event_sinks import STREAM, LakeSink, StreamSink
from bihuan_attribution.figure_audit_store import SqlFigureAudit
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.lead_scoring_store import LEADS, SqlLeadScoring
from bihuan_attribution.lead_store import SqlLeads
from bihuan_attribution.lease_store import RedisLeases
from bihuan_attribution.ledger_store import SqlLedger
from bihuan_attribution.metrics import CONSUMER_LAG, PERSONS_LAG
from bihuan_attribution.order_file_store import SqlOrderFiles
from bihuan_attribution.order_path_store import SqlOrderPaths
from bihuan_attribution.payable_store import SqlPayables
from bihuan_attribution.payout_store import SqlPayouts
from bihuan_attribution.period_store import SqlPeriods
from bihuan_attribution.person_store import SqlPersons
from bihuan_attribution.reach_store import REACH, REACH_BATCH, SqlReach, prepare_reach
from bihuan_attribution.reconcile.auditor import LakeAuditor
from bihuan_attribution.report_store import SqlReports
from bihuan_attribution.rpc.ports import Ports
from bihuan_attribution.rpc.service import AttributionServicer
from bihuan_attribution.settings import AttributionSettings
from bihuan_attribution.terms_store import SqlTerms
from bihuan_attribution.trace_store import SqlEntryFiles
from bihuan_attribution.use_cases.consume import Bell, Pace, follow
from bihuan_attribution.use_cases.feed_books import BookFeed
from bihuan_attribution.use_cases.keep_days import DayKeeper
from bihuan_attribution.use_cases.learn_channels import ChannelLearner
from bihuan_attribution.use_cases.lease_budgets import Leaser
from bihuan_attribution.use_cases.pass_on import FAN_OUT, FAN_OUT_BATCH, LAKE, FanOut, LakeFeed
from bihuan_attribution.use_cases.put_terms import TermsView
from bihuan_attribution.use_cases.record_events import Recorder
from bihuan_attribution.use_cases.reserve_budget import Reserver
from bihuan_attribution.use_cases.settle_budgets import BATCH, BUDGETS, BudgetSettler
from bihuan_attribution.use_cases.settlement_ports import Settlement
from bihuan_attribution.verify_store import SqlVerifier
from bihuan_shared.clock import Clock, background_time_us, clock_from
from bihuan_shared.lake import Lake, open_lake
from bihuan_shared.person_stream import PersonFollower
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.rpc.server import ServiceApp
from bihuan_shared.sql import Database
from bihuan_shared.streams import StreamWriter
from bihuan_shared.tokens import KeyRing

SERVICE = "bihuan.attribution.v1.AttributionService"
_PASS_ON_PAUSE_S: Final = 0.1
_BILLING_PAUSE_S: Final = 0.05
# Reports are not read so often that sketches must follow at once.
_REACH_PACE: Final = Pace(REACH_BATCH, pause_s=1.0)
# A file a second at most, unless there is much to write.
_LAKE_PACE: Final = Pace(full=5_000, pause_s=1.0)

_Task = tuple[str, Callable[[], Awaitable[None]]]


@dataclass(frozen=True, slots=True)
class _Parts:
    """What is made once and used in several places."""

    clock: Clock
    database: Database
    redis: RedisClient
    log: SqlEventLog
    budgets: RedisBudgets
    terms_store: SqlTerms
    terms: TermsView
    recorder: Recorder
    reserver: Reserver
    settler: BudgetSettler
    persons: SqlPersons
    lake: Lake
    auditor: LakeAuditor
    committed: Bell
    keys: KeyRing
    reach: SqlReach
    learner: ChannelLearner


async def build(settings: AttributionSettings) -> ServiceApp:
    """
    Wire the service.

    Raises ValueError without token keys or a Redis URL, and Unavailable where the database does not answer.
    """
    parts = await _open(settings)

    async def ready() -> bool:
        return all(await asyncio.gather(parts.database.ping(), parts.budgets.alive()))

    async def close() -> None:
        await parts.recorder.close()
        await parts.learner.close()
        await parts.auditor.close()
        await parts.database.close()
        await parts.redis.aclose()

    servicer = AttributionServicer(_ports(parts))
    return ServiceApp(
        name="attribution",
        servicers=[(servicer, attribution_pb2_grpc.add_AttributionServiceServicer_to_server, SERVICE)],
        ready=ready,
        background=_background(parts, settings),
        close=close,
    )


async def _open(settings: AttributionSettings) -> _Parts:
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
    committed = Bell()
    reserver = Reserver(budgets, truth, terms, clock)
    persons, lake = SqlPersons(database), open_lake(settings.lake_url)
    return _Parts(
        clock=clock,
        database=database,
        redis=redis,
        log=log,
        budgets=budgets,
        terms_store=terms_store,
        terms=terms,
        recorder=Recorder(log, keys, clock, committed.ring),
        reserver=reserver,
        settler=BudgetSettler(log, budgets, truth, terms, reserver, persons),
        persons=persons,
        lake=lake,
        auditor=LakeAuditor(database, lake, committed.ring, settings.state_dir),
        committed=committed,
        keys=keys,
        reach=SqlReach(database, await prepare_reach(database, os.urandom(32))),
        learner=ChannelLearner(SqlOrderPaths(database), clock),
    )


def _ports(parts: _Parts) -> Ports:
    return Ports(
        clock=parts.clock,
        recorder=parts.recorder,
        reserver=parts.reserver,
        leaser=Leaser(RedisLeases(parts.redis), parts.budgets, parts.reserver, parts.terms, parts.clock),
        terms_store=parts.terms_store,
        terms=parts.terms,
        budgets=parts.budgets,
        ledger=SqlLedger(parts.database),
        reports=SqlReports(parts.database),
        orders=SqlOrderFiles(parts.database),
        paths=SqlOrderPaths(parts.database),
        weights=parts.learner,
        auditor=parts.auditor,
        payables=SqlPayables(parts.database),
        settlement=Settlement(
            payouts=SqlPayouts(parts.database),
            periods=SqlPeriods(parts.database),
            verifier=SqlVerifier(parts.database),
            files=SqlEntryFiles(parts.database),
            keys=parts.keys,
        ),
        days=SqlBookingList(parts.database),
        figure_auditor=SqlFigureAudit(parts.database),
        push_balance=parts.settler.push_balance,
        findings=SqlFindings(parts.database),
        spent=parts.settler,
        leads=SqlLeads(parts.database),
    )


def _background(parts: _Parts, settings: AttributionSettings) -> Sequence[_Task]:
    stream: StreamWriter[common_pb2.AcceptedEvent] = StreamWriter(parts.redis, STREAM, shards=settings.event_shards)
    fan_out = FanOut(parts.log, StreamSink(stream))
    lake = LakeFeed(parts.log, LakeSink(parts.lake))
    books = BookFeed(SqlBookRows(parts.database, parts.lake))
    committed, billed = parts.committed, Bell()
    persons = PersonFollower(
        parts.redis,
        group="attribution",
        consumer=settings.consumer,
        position=parts.persons.position,
        follow=parts.persons.follow,
        measure=PERSONS_LAG.set,
    )
    bill = partial(SqlBilling(parts.database, parts.clock, settings.traffic_limits).bill, settings.billing_batch)
    now_us = partial(background_time_us, parts.clock)
    days = DayKeeper(SqlBookingDays(parts.database), now_us, parts.settler.push_balance)
    score_leads = partial(SqlLeadScoring(parts.database, _new_lead_id).score, BATCH)
    billing_pace = Pace(settings.billing_batch, _BILLING_PAUSE_S)
    return [
        ("billing", partial(follow, bill, committed.listener(), billing_pace, [billed.ring])),
        ("leads", partial(follow, score_leads, billed.listener(), Pace(BATCH, _PASS_ON_PAUSE_S))),
        ("budgets", partial(follow, parts.settler.step, billed.listener(), Pace(BATCH, _PASS_ON_PAUSE_S))),
        ("reach", partial(follow, parts.reach.step, billed.listener(), _REACH_PACE)),
        ("fanout", partial(follow, fan_out.step, committed.listener(), Pace(FAN_OUT_BATCH, _PASS_ON_PAUSE_S))),
        ("lake", partial(follow, lake.step, committed.listener(), _LAKE_PACE)),
        ("lake_books", partial(follow, books.step, billed.listener(), _LAKE_PACE)),
        ("persons", persons.run),
        ("terms", partial(follow, partial(_refresh, parts.terms), asyncio.Event())),
        ("bookings", partial(follow, days.step, asyncio.Event())),
        ("lag", partial(follow, partial(_measure, parts.log), asyncio.Event())),
    ]


def _new_lead_id() -> str:
    return f"lead-{secrets.token_hex(12)}"


async def _refresh(terms: TermsView) -> int:
    await terms.refresh()
    return 0


async def _measure(log: SqlEventLog) -> int:
    head = await log.head()
    for consumer in (BILLING, BUDGETS, FAN_OUT, LAKE, REACH, LEADS):
        CONSUMER_LAG.labels(consumer).set(head - await log.position(consumer))
    return 0
