"""Puts the data plane together; the only file of it that names concrete stores, hops and routes together."""

import time
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from hashlib import sha256

from starlette.routing import BaseRoute

from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.data import metrics
from bihuan_gateway.data.decision_records import LakeDecisionRecords
from bihuan_gateway.data.decision_store import SqlDecisions
from bihuan_gateway.data.domain.booked import BookedSource, NothingBooked
from bihuan_gateway.data.domain.traffic import AddressRanges, networks_in
from bihuan_gateway.data.hops.attribution import GrpcBudgets, GrpcEventLog
from bihuan_gateway.data.hops.bookings import PolledDays
from bihuan_gateway.data.hops.identity import GrpcIdentities
from bihuan_gateway.data.hops.leases import GrpcLeases
from bihuan_gateway.data.hops.profile import GrpcProfiles
from bihuan_gateway.data.hops.scoring import GrpcScorer
from bihuan_gateway.data.landings import StoredLandings
from bihuan_gateway.data.openapi import fragment
from bihuan_gateway.data.ports import (
    Budgets,
    DecisionRecords,
    Decisions,
    EventLog,
    Identities,
    Landings,
    Profiles,
    Scorer,
)
from bihuan_gateway.data.retention import Retention
from bihuan_gateway.data.robots import RobotList
from bihuan_gateway.data.routes.decisions import DecisionRoutes
from bihuan_gateway.data.routes.events import EventRoutes
from bihuan_gateway.data.routes.orders import OrderRoutes
from bihuan_gateway.data.routes.promotion import PromotionRoutes
from bihuan_gateway.data.routes.tracking import TrackingRoutes
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.data.spool import Spool, SpoolLimits
from bihuan_gateway.data.spool_drain import SpoolDrain
from bihuan_gateway.data.use_cases.actions import RecordActions
from bihuan_gateway.data.use_cases.consenting import ReadConsent
from bihuan_gateway.data.use_cases.decide import Decide, DecideLimits
from bihuan_gateway.data.use_cases.ingest import Ingest
from bihuan_gateway.data.use_cases.knowledge import PersonSource
from bihuan_gateway.data.use_cases.lease_wallet import LeaseWallet, WalletLimits
from bihuan_gateway.data.use_cases.orders import RecordOrders
from bihuan_gateway.data.use_cases.promote import Promote
from bihuan_gateway.data.use_cases.repeat import AnswerOnce
from bihuan_gateway.data.use_cases.track import BeaconSpool, Outage, Track
from bihuan_gateway.data.use_cases.watch import TrafficWatch
from bihuan_gateway.planes import DataPlane, PlaneParts
from bihuan_shared.clock import DAY_US, Clock
from bihuan_shared.consent import TcfRules
from bihuan_shared.lake import open_lake
from bihuan_shared.tokens import KeyRing

HOP_SHARE = 0.4
OUTAGE_PAUSE_US = 1_000_000
LEASE_TIMEOUT_S = 2.0
LEASE_ID_BYTES = 12


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that the use cases talk to; tests give fakes."""

    identities: Identities
    profiles: Profiles
    scorer: Scorer
    budgets: Budgets
    events: EventLog
    decisions: Decisions
    records: DecisionRecords
    landings: Landings
    spool: BeaconSpool
    booked: BookedSource = field(default_factory=NothingBooked)


def assemble_routes(parts: PlaneParts, ports: Ports, settings: DataSettings) -> list[BaseRoute]:
    """Wire use cases to routes."""
    secret = parts.settings.token_keys.get_secret_value()
    keys = KeyRing.parse(secret)
    decide = Decide(
        snapshots=parts.snapshots,
        persons=PersonSource(ports.identities, ports.profiles, ports.scorer),
        budgets=ports.budgets,
        records=ports.records,
        keys=keys,
        naming_key=naming_key(secret),
        clock=parts.clock,
        random_bytes=parts.random_bytes,
        count_degraded=lambda hop: metrics.DEGRADED.labels(hop).inc(),
        limits=DecideLimits(settings.decision_timeout_ms / 1000, settings.prior_pctr, settings.prior_pcvr),
        booked=ports.booked,
    )
    track = _track(parts, ports, settings, keys)
    ingest = Ingest(
        ports.identities, ports.profiles, lambda outcome, number: metrics.BEHAVIOUR_EVENTS.labels(outcome).inc(number)
    )
    orders = RecordOrders(ports.identities, ports.events, lambda outcome: metrics.ORDER_EVENTS.labels(outcome).inc())
    actions = RecordActions(ports.identities, ports.events, lambda outcome: metrics.ACTION_EVENTS.labels(outcome).inc())
    consents = consent_reader(settings, parts.clock)
    once = AnswerOnce(ports.decisions, parts.clock)
    return [
        *DecisionRoutes(decide, once, consents, parts.settings.public_url.rstrip("/")).routes(),
        *TrackingRoutes(track).routes(),
        *PromotionRoutes(Promote(parts.snapshots, keys, parts.clock, parts.random_bytes), track).routes(),
        *EventRoutes(ingest, actions, consents, parts.clock).routes(),
        *OrderRoutes(orders, consents, parts.clock).routes(),
    ]


def _track(parts: PlaneParts, ports: Ports, settings: DataSettings, keys: KeyRing) -> Track:
    return Track(
        snapshots=parts.snapshots,
        landings=ports.landings,
        events=ports.events,
        spool=ports.spool,
        keys=keys,
        clock=parts.clock,
        watch=traffic_watch(parts.settings.token_keys.get_secret_value(), settings),
        outage=Outage(OUTAGE_PAUSE_US, lambda: time.monotonic_ns() // 1000),
        count=lambda kind, outcome: metrics.BEACONS.labels(kind.lower(), outcome).inc(),
        timeout_s=settings.beacon_timeout_ms / 1000,
    )


def consent_reader(settings: DataSettings, clock: Clock) -> ReadConsent:
    """Read consent strings as the settings say we stand in the frameworks, and count what becomes of them."""
    countries = frozenset(filter(None, settings.consent_purpose_one_countries.split(",")))
    return ReadConsent(
        rules=TcfRules(settings.consent_vendor_id, countries),
        clock=clock,
        count=lambda form, outcome: metrics.CONSENT_STRINGS.labels(form, outcome).inc(),
    )


def naming_key(token_keys: str) -> bytes:
    """Derive the key of ids from the oldest token key, which stays the longest when keys rotate."""
    return _derived_key(b"bihuan decision names\n", token_keys)


def traffic_watch(token_keys: str, settings: DataSettings) -> TrafficWatch:
    """Watch traffic as the settings say (OSError or ValueError where the file of networks cannot be read)."""
    file = settings.data_centre_file
    return TrafficWatch(
        is_robot=RobotList(),
        key=_derived_key(b"bihuan addresses of a day\n", token_keys),
        data_centres=AddressRanges(networks_in(file.read_text()) if file is not None else ()),
        trusted_proxies=settings.trusted_proxies,
    )


def _derived_key(label: bytes, token_keys: str) -> bytes:
    oldest = token_keys.rsplit(",", maxsplit=1)[-1].partition(":")[2].strip()
    return sha256(label + oldest.encode()).digest()


async def build_data_plane(parts: PlaneParts, settings: DataSettings | None = None) -> DataPlane:
    """
    Build the data plane over gRPC, the gateway's database, the lake and the spool.

    Raises ValueError for a token key ring that cannot be read and Unavailable where the spool cannot be opened.
    """
    told = settings or DataSettings()
    hop_s = told.decision_timeout_ms / 1000 * HOP_SHARE
    async with AsyncExitStack() as opening:
        folder = told.spool_dir or parts.settings.state_dir / "gateway" / "spool"
        spool = Spool(folder, SpoolLimits(max_bytes=told.spool_max_bytes))
        opening.push_async_callback(spool.close)
        metrics.SPOOL_CUT_BYTES.inc(spool.cut_bytes)
        records = LakeDecisionRecords(open_lake(parts.settings.lake_url))
        opening.push_async_callback(records.flush)
        decisions = SqlDecisions(parts.database)
        identities = GrpcIdentities(parts.hops.identity, timeout_s=hop_s)
        profiles = GrpcProfiles(parts.hops.profile, timeout_s=hop_s)
        scorer = GrpcScorer(parts.hops.scoring, parts.hops.audiences, timeout_s=hop_s)
        budgets = GrpcBudgets(parts.hops.attribution, timeout_s=told.decision_timeout_ms / 1000)
        events = GrpcEventLog(parts.hops.attribution, timeout_s=told.beacon_timeout_ms / 1000)
        for busy in (decisions, identities, profiles, scorer, budgets, events):
            opening.push_async_callback(busy.close)
        background: list[tuple[str, Callable[[], Awaitable[None]]]] = []
        answering: Budgets = budgets
        # Every request of a replay has a time of its own, and a lease is of one time.
        if told.leases and parts.settings.clock != "replay":
            wallet = _wallet(parts, told, budgets)
            opening.push_async_callback(wallet.close)
            background.append(("leases", wallet.run))
            answering = wallet
        landings = StoredLandings(SqlControlStore(parts.database))
        booked = PolledDays(parts.hops.attribution, parts.clock, poll_s=told.booked_poll_s)
        ports = Ports(identities, profiles, scorer, answering, events, decisions, records, landings, spool, booked)
        routes = assemble_routes(parts, ports, told)
        background += [
            ("spool", SpoolDrain(spool, events).run),
            ("decision-records", records.run),
            ("booked-days", booked.run),
        ]
        # The data that is replayed sets the time: another replay's may lie months away, and comes again to be the same.
        if parts.settings.clock != "replay":
            keep_us = told.decision_retention_days * DAY_US
            background.append(("decision-retention", Retention(decisions, parts.clock, keep_us).run))
        return DataPlane(routes, background, opening.pop_all().aclose, openapi=fragment())


def _wallet(parts: PlaneParts, told: DataSettings, budgets: Budgets) -> LeaseWallet:
    return LeaseWallet(
        budgets=budgets,
        leases=GrpcLeases(parts.hops.attribution, timeout_s=LEASE_TIMEOUT_S),
        clock=parts.clock,
        name_lease=lambda: parts.random_bytes(LEASE_ID_BYTES).hex(),
        count=lambda step, source: metrics.BUDGET_ANSWERS.labels(step, source).inc(),
        limits=WalletLimits(ceiling_nanos=told.lease_ceiling_micros * 1_000),
    )
