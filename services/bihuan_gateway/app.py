"""The composition root: the only file of the gateway that names concrete stores, channels and routes together."""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

import structlog
from fastapi import FastAPI

from bihuan_gateway import metrics, openapi, problem
from bihuan_gateway.auth import Authenticator
from bihuan_gateway.control.audiences import AudienceDesk
from bihuan_gateway.control.booking_relay import BookingRelay
from bihuan_gateway.control.booking_store import SqlBookings
from bihuan_gateway.control.bookings import BookingDesk
from bihuan_gateway.control.control_store import SqlControlStore
from bihuan_gateway.control.effects import Effects
from bihuan_gateway.control.exports import ExportDesk
from bihuan_gateway.control.findings import FindingDesk
from bihuan_gateway.control.key_store import SqlKeyStore
from bihuan_gateway.control.keys import KeyDesk
from bihuan_gateway.control.launching import Launcher
from bihuan_gateway.control.lead_plane import build_courier, webhook_secrets
from bihuan_gateway.control.link_store import SqlLinkStore
from bihuan_gateway.control.outbox import SqlTermsOutbox
from bihuan_gateway.control.promotion import PromotionDesk
from bihuan_gateway.control.report_desk import ReportDesk
from bihuan_gateway.control.serving import LiveSnapshots
from bihuan_gateway.control.settlement import Settlement
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.control.tag_relay import TagRelay
from bihuan_gateway.control.tag_store import SqlTags
from bihuan_gateway.control.tags import TagDesk
from bihuan_gateway.control.terms_relay import TermsRelay
from bihuan_gateway.control.use_cases import Catalogue
from bihuan_gateway.control.webhook_desk import WebhookDesk
from bihuan_gateway.data.plane import build_data_plane
from bihuan_gateway.edge import Edge, EdgeRules
from bihuan_gateway.hops import Hops
from bihuan_gateway.outside import Outside
from bihuan_gateway.planes import BuildDataPlane, DataPlane, NamedRoute, PlaneParts
from bihuan_gateway.routes.routers import ROUTERS
from bihuan_gateway.routes.wire import ControlPlane
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import Clock, clock_from
from bihuan_shared.errors import BihuanError
from bihuan_shared.sql import Database
from bihuan_shared.tokens import KeyRing

_log = structlog.stdlib.get_logger(__name__)
VERSION = "0.1.0"
PUBLIC = ("/healthz", "/readyz", "/metrics", "/docs", "/openapi.json", "/t")
"""Paths, with everything below them, that need no API key."""
HOT = frozenset({"/v1/decisions", "/t/i/{token}", "/t/v/{token}", "/t/l/{token}", "/t/c/{token}", "/t/p/{link}"})
"""Route templates that every page view meets."""


@dataclass(slots=True)
class Running:
    """What lives as long as the application serves."""

    control: ControlPlane
    authenticator: Authenticator
    snapshots: LiveSnapshots
    relay: TermsRelay
    booking_relay: BookingRelay
    tag_relay: TagRelay


@dataclass(slots=True)
class _Parts:
    """What the control plane is put together from."""

    settings: Settings
    database: Database
    outside: Outside
    clock: Clock
    store: SqlControlStore
    snapshots: LiveSnapshots
    relay: TermsRelay

    def catalogue(self) -> Catalogue:
        return Catalogue(
            store=self.store,
            taxonomy=self.outside.taxonomy,
            clock=self.clock,
            random_bytes=os.urandom,
            after_write=self._after_write,
            tags=SqlTags(self.database),
            auto_approve=self.settings.auto_approve,
        )

    def promotion(self, catalogue: Catalogue) -> PromotionDesk:
        token_keys = self.settings.token_keys.get_secret_value()
        ring = KeyRing.parse(token_keys) if token_keys else None
        links = SqlLinkStore(self.database)
        return PromotionDesk(catalogue, links, self.outside.payables, ring, self.clock, os.urandom)

    async def _after_write(self, with_terms: bool) -> None:  # noqa: FBT001 - a callback with one meaning
        if with_terms:
            await self.relay.push_soon()
        # The write is committed: what fails here is made up for in the background.
        with suppress(BihuanError):
            await self.snapshots.refresh()


def _assemble(settings: Settings, database: Database, outside: Outside, clock: Clock) -> Running:
    store, keys = SqlControlStore(database), SqlKeyStore(database)
    authenticator = Authenticator(keys, bootstrap_sha256=settings.admin_key_sha256)
    snapshots = LiveSnapshots(store, poll_s=settings.snapshot_poll_s, on_change=metrics.SNAPSHOT_VERSION.set)
    relay = TermsRelay(
        SqlTermsOutbox(database),
        outside.terms,
        wait_s=settings.terms_wait_s,
        on_taken=snapshots.refresh,
        on_pending=metrics.TERMS_PENDING.set,
    )
    own_tags = SqlTags(database)
    tag_relay = TagRelay(own_tags, outside.tags, wait_s=settings.terms_wait_s, on_pending=metrics.TAGS_PENDING.set)
    bookings = SqlBookings(database)
    booking_relay = BookingRelay(
        bookings, outside.bookings, wait_s=settings.terms_wait_s, on_pending=metrics.BOOKINGS_PENDING.set
    )
    parts = _Parts(settings, database, outside, clock, store, snapshots, relay)
    catalogue = parts.catalogue()
    control = ControlPlane(
        catalogue=catalogue,
        audiences=AudienceDesk(catalogue, outside.people, outside.audiences),
        launcher=Launcher(catalogue, outside.audiences),
        exports=ExportDesk(catalogue, outside.exports),
        keys=KeyDesk(keys, store, clock, os.urandom, authenticator.forget),
        effects=Effects(catalogue, outside.books),
        promotion=parts.promotion(catalogue),
        public_url=settings.public_url.rstrip("/"),
        findings=FindingDesk(outside.findings),
        settlement=Settlement(outside.settlement),
        bookings=BookingDesk(bookings, store, outside.bookings, clock, os.urandom, booking_relay.push_soon),
        reports=ReportDesk(catalogue, outside.reports),
        webhooks=WebhookDesk(catalogue, webhook_secrets(settings)),
        tags=TagDesk(own_tags, store, outside.taxonomy, clock, tag_relay.push_soon),
    )
    return Running(control, authenticator, snapshots, relay, booking_relay, tag_relay)


def _mount(app: FastAPI, plane: DataPlane) -> None:
    """Put the data plane's routes before the control plane's: they are the hot ones."""
    app.router.routes[:0] = [NamedRoute.like(route) for route in plane.routes]
    app.state.openapi_fragment = plane.openapi
    app.openapi_schema = None


async def _start(
    app: FastAPI, stack: AsyncExitStack, settings: Settings, outside: Outside | None, data: BuildDataPlane | None
) -> None:
    clock = clock_from(settings.clock)
    database = await Database.open(settings.database_url, METADATA, schema=SCHEMA)
    stack.push_async_callback(database.close)
    hops = Hops.open(settings)
    stack.push_async_callback(hops.close)
    await SqlTermsOutbox(database).queue_unknown()
    running = _assemble(settings, database, outside or Outside.over(hops), clock)
    await running.snapshots.refresh()
    app.state.control = running.control
    app.state.authenticator = running.authenticator
    app.state.snapshots = running.snapshots
    background: list[tuple[str, Callable[[], Awaitable[None]]]] = [
        ("snapshots", running.snapshots.run),
        ("terms", running.relay.run),
        ("bookings", running.booking_relay.run),
        ("tags", running.tag_relay.run),
        ("leads", build_courier(settings, database, hops, clock, stack)),
    ]
    checks: list[Callable[[], Awaitable[bool]]] = [database.ping]
    if data is not None:
        plane = await data(PlaneParts(settings, database, hops, clock, running.snapshots, os.urandom))
        stack.push_async_callback(plane.close)
        _mount(app, plane)
        background.extend(plane.background)
        checks.append(plane.ready)

    async def ready() -> bool:
        return all([await check() for check in checks])

    app.state.ready = ready
    _run_background(app, stack, background)


def _run_background(
    app: FastAPI, stack: AsyncExitStack, background: Sequence[tuple[str, Callable[[], Awaitable[None]]]]
) -> None:
    """Run tasks until the application ends; one that ends by itself sets `app.state.failed`."""
    app.state.failed = asyncio.Event()

    async def forever(name: str, run: Callable[[], Awaitable[None]]) -> None:
        try:
            await run()
        except Exception as error:  # noqa: BLE001 - whatever it is, the process ends and says so
            _log.error("a background task failed", task=name, exc_info=error)
        _log.error("a background task ended", task=name)
        app.state.failed.set()

    tasks = [asyncio.create_task(forever(name, run), name=name) for name, run in background]

    async def stop() -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    stack.push_async_callback(stop)


def build(
    settings: Settings, *, outside: Outside | None = None, data: BuildDataPlane | None = build_data_plane
) -> FastAPI:
    """
    Build the application; its lifespan opens and closes what it needs.

    `outside` replaces the other services for the control plane (over gRPC where absent); `data` builds the
    data plane, of which there is none where it is None.
    """

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            await _start(app, stack, settings, outside, data)
            yield

    app = FastAPI(
        title="Bihuan", version=VERSION, lifespan=lifespan, redirect_slashes=False, docs_url=None, redoc_url=None
    )
    problem.install(app)
    for router in ROUTERS:
        app.include_router(router)
    app.router.routes[:] = [NamedRoute.like(route) for route in app.router.routes]
    app.state.openapi_fragment = {}
    app.add_middleware(Edge, rules=edge_rules(settings), authenticator=lambda: app.state.authenticator)

    def describe() -> openapi.Document:
        if app.openapi_schema is None:
            app.openapi_schema = openapi.document(
                app, title=app.title, version=VERSION, fragment=app.state.openapi_fragment
            )
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]  # FastAPI's own way of replacing its document
    return app


def edge_rules(settings: Settings) -> EdgeRules:
    """Derive what the edge holds requests to."""
    return EdgeRules(
        replay=settings.clock == "replay",
        public=PUBLIC,
        lists=frozenset({"/v1/audiences", "/v1/audiences:estimateReach", "/v1/ledger/reconciliation"}),
        exports=(":export",),
        max_body_bytes=settings.max_body_bytes,
        max_list_body_bytes=settings.max_list_body_bytes,
        timeout_s=settings.request_timeout_s,
        list_timeout_s=settings.list_timeout_s,
        max_in_flight=settings.max_concurrent_calls,
        hot=HOT,
    )
