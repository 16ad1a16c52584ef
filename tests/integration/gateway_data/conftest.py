"""The data plane over real gRPC connections to servicers that keep what they are told."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import grpc
import httpx
import pytest
from data_plane_world import KEYS, World
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import Receive, Scope, Send

from bihuan.attribution.v1 import attribution_pb2, attribution_pb2_grpc, event_pb2
from bihuan.identity.v1 import identity_pb2, identity_pb2_grpc
from bihuan.profile.v1 import profile_pb2, profile_pb2_grpc
from bihuan.scoring.v1 import audience_pb2, audience_pb2_grpc, scoring_pb2, scoring_pb2_grpc
from bihuan_gateway import problem
from bihuan_gateway.auth import put_principal
from bihuan_gateway.control.tables import METADATA, SCHEMA
from bihuan_gateway.data.plane import build_data_plane
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.hops import Hops
from bihuan_gateway.planes import DataPlane, PlaneParts
from bihuan_gateway.settings import Settings
from bihuan_shared.sql import Database

Context = grpc.aio.ServicerContext[object, object]


@dataclass(slots=True)
class Services:
    """Every service at once; `batches` holds the sizes of the calls by method."""

    persons: dict[bytes, int] = field(default_factory=dict)
    events: dict[tuple[int, str], event_pb2.Event] = field(default_factory=dict)
    batches: dict[str, list[int]] = field(default_factory=dict)
    behaviours: list[profile_pb2.BehaviourEvent] = field(default_factory=list)
    bad_namespace: str = ""

    async def BatchResolve(  # noqa: N802 - the names of the RPCs
        self, request: identity_pb2.BatchResolveRequest, context: Context
    ) -> identity_pb2.BatchResolveResponse:
        self.batches.setdefault("BatchResolve", []).append(len(request.items))
        for item in request.items:
            if item.identifiers[0].namespace == self.bad_namespace:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "items: bad")
        keys = [item.SerializeToString(deterministic=True) for item in request.items]
        return identity_pb2.BatchResolveResponse(
            results=[
                identity_pb2.ResolveResult(person_id=self.persons.setdefault(key, len(self.persons) + 1))
                for key in keys
            ]
        )

    async def BatchGetProfiles(  # noqa: N802
        self, request: profile_pb2.BatchGetProfilesRequest, context: Context
    ) -> profile_pb2.BatchGetProfilesResponse:
        self.batches.setdefault("BatchGetProfiles", []).append(len(request.queries))
        return profile_pb2.BatchGetProfilesResponse(
            profiles=[
                profile_pb2.Profile(
                    person_id=query.person.person_id, attributes=[profile_pb2.Attribute(name="gender", text="f")]
                )
                for query in request.queries
            ]
        )

    async def IngestEvents(  # noqa: N802
        self, request: profile_pb2.IngestEventsRequest, context: Context
    ) -> profile_pb2.IngestEventsResponse:
        self.behaviours.extend(request.events)
        accepted = profile_pb2.INGEST_OUTCOME_ACCEPTED
        return profile_pb2.IngestEventsResponse(
            results=[profile_pb2.IngestResult(event_id=event.event_id, outcome=accepted) for event in request.events]
        )

    async def BatchGetMemberships(  # noqa: N802
        self, request: audience_pb2.BatchGetMembershipsRequest, context: Context
    ) -> audience_pb2.BatchGetMembershipsResponse:
        return audience_pb2.BatchGetMembershipsResponse(
            memberships=[audience_pb2.Membership(audience_ids=["fans"]) for _ in request.persons]
        )

    async def BatchScore(  # noqa: N802
        self, request: scoring_pb2.BatchScoreRequest, context: Context
    ) -> scoring_pb2.BatchScoreResponse:
        self.batches.setdefault("BatchScore", []).append(len(request.items))
        return scoring_pb2.BatchScoreResponse(
            model_version="m7",
            results=[
                scoring_pb2.ScoreResult(
                    scores=[
                        scoring_pb2.Score(candidate_index=index, pctr=0.01 * (1 + index), pcvr=0.1)
                        for index in item.candidate_indexes
                    ]
                )
                for item in request.items
            ],
        )

    async def ReserveBudget(  # noqa: N802
        self, request: attribution_pb2.ReserveBudgetRequest, context: Context
    ) -> attribution_pb2.ReserveBudgetResponse:
        reserved = attribution_pb2.RESERVE_OUTCOME_RESERVED
        return attribution_pb2.ReserveBudgetResponse(
            results=[
                attribution_pb2.ReserveResult(
                    candidate_index=None if request.validate_only else 0,
                    outcomes=[reserved] * (len(item.candidates) if request.validate_only else 1)
                    + [attribution_pb2.RESERVE_OUTCOME_UNSPECIFIED]
                    * (0 if request.validate_only else len(item.candidates) - 1),
                )
                for item in request.items
            ]
        )

    async def RecordEvents(  # noqa: N802
        self, request: attribution_pb2.RecordEventsRequest, context: Context
    ) -> attribution_pb2.RecordEventsResponse:
        self.batches.setdefault("RecordEvents", []).append(len(request.events))
        results = []
        for event in request.events:
            key = (event.event_type, event.token or event.event_id)
            known = key in self.events
            self.events.setdefault(key, event)
            outcome = event_pb2.EVENT_OUTCOME_DUPLICATE if known else event_pb2.EVENT_OUTCOME_ACCEPTED
            results.append(event_pb2.EventResult(event_id=event.event_id, outcome=outcome))
        return attribution_pb2.RecordEventsResponse(results=results)


@dataclass(slots=True)
class Backend:
    """The servicers' server, which can go away and come back on its port."""

    services: Services = field(default_factory=Services)
    port: int = 0
    server: grpc.aio.Server | None = None

    async def start(self) -> None:
        server = grpc.aio.server()
        identity_pb2_grpc.add_IdentityServiceServicer_to_server(_Partial(self.services), server)  # type: ignore[arg-type]  # has what is called
        profile_pb2_grpc.add_ProfileServiceServicer_to_server(_Partial(self.services), server)  # type: ignore[arg-type]  # has what is called
        scoring_pb2_grpc.add_ScoringServiceServicer_to_server(_Partial(self.services), server)  # type: ignore[arg-type]  # has what is called
        audience_pb2_grpc.add_AudienceServiceServicer_to_server(_Partial(self.services), server)  # type: ignore[arg-type]  # has what is called
        attribution_pb2_grpc.add_AttributionServiceServicer_to_server(_Partial(self.services), server)  # type: ignore[arg-type]  # has what is called
        self.port = server.add_insecure_port(f"127.0.0.1:{self.port}")
        await server.start()
        self.server = server

    async def stop(self) -> None:
        if self.server is not None:
            await self.server.stop(0)
            self.server = None


class _Partial:
    """Answers the methods that `Services` has; the generated code asks for all of them."""

    def __init__(self, services: Services) -> None:
        self._services = services

    def __getattr__(self, name: str) -> object:
        return getattr(self._services, name, None)


@dataclass(slots=True)
class Plane:
    """A data plane that runs, and what is around it."""

    world: World
    backend: Backend
    settings: Settings
    plane: DataPlane
    client: httpx.AsyncClient


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    """Every service, on one port of the loopback."""
    made = Backend()
    await made.start()
    yield made
    await made.stop()


@pytest.fixture
async def plane(backend: Backend, tmp_path: Path) -> AsyncIterator[Plane]:
    """A data plane over gRPC, SQLite, a lake and a spool, called by an admin; background tasks do not run."""
    world = World()
    world.refresh()
    target = f"127.0.0.1:{backend.port}"
    settings = Settings(
        token_keys=SecretStr(KEYS),
        public_url="https://ads.example",
        state_dir=tmp_path,
        identity_target=target,
        profile_target=target,
        scoring_target=target,
        attribution_target=target,
    )
    database = await Database.open(settings.database_url, METADATA, schema=SCHEMA)
    hops = Hops.open(settings)
    nonces = iter(range(1, 1_000_000))
    parts = PlaneParts(settings, database, hops, world.clock, world, lambda size: next(nonces).to_bytes(size, "big"))
    built = await build_data_plane(parts, DataSettings(decision_timeout_ms=5_000, beacon_timeout_ms=2_000))
    app = FastAPI()
    problem.install(app)
    app.router.routes.extend(built.routes)

    async def keyed(scope: Scope, receive: Receive, send: Send) -> None:
        put_principal(scope, world.principal)
        await app(scope, receive, send)

    transport = httpx.ASGITransport(app=keyed)
    async with httpx.AsyncClient(transport=transport, base_url="https://ads.example") as client:
        yield Plane(world, backend, settings, built, client)
    await built.close()
    await hops.close()
    await database.close()
