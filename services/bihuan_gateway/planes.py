"""What the composition root gives the data plane, and what it gets back."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field

from starlette.routing import BaseRoute, Match, Route
from starlette.types import Scope

from bihuan_gateway.control.snapshot import SnapshotSource
from bihuan_gateway.hops import Hops
from bihuan_gateway.settings import Settings
from bihuan_shared.clock import Clock
from bihuan_shared.sql import Database


async def nothing() -> None:
    """Do nothing."""


async def always() -> bool:
    """Be ready."""
    return True


@dataclass(frozen=True, slots=True)
class PlaneParts:
    """
    What a data plane is built from.

    `database` is the gateway's own, with the tables of both planes (`control.tables.METADATA`); its owner closes it.
    `settings.public_url` is filled. Routes get the caller from `auth.principal_of(request)`; every path but the public
    ones (`app.PUBLIC`) has one. Errors may simply be raised.
    """

    settings: Settings
    database: Database
    hops: Hops
    clock: Clock
    snapshots: SnapshotSource
    random_bytes: Callable[[int], bytes]


@dataclass(frozen=True, slots=True)
class DataPlane:
    """
    What a data plane brings along.

    `background` are named tasks that run as long as the process; one that ends, ends it. `openapi` is merged into the
    application's document: `paths` and `components.schemas`.
    """

    routes: Sequence[BaseRoute]
    background: Sequence[tuple[str, Callable[[], Awaitable[None]]]] = ()
    close: Callable[[], Awaitable[None]] = nothing
    ready: Callable[[], Awaitable[bool]] = always
    openapi: Mapping[str, object] = field(default_factory=dict)


BuildDataPlane = Callable[[PlaneParts], Awaitable[DataPlane]]


class NamedRoute(Route):
    """A plain route that leaves itself in the scope, as FastAPI's own do, so that the edge can name its template."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route."""
        match, child_scope = super().matches(scope)
        if match is not Match.NONE:
            child_scope["route"] = self
        return match, child_scope

    @classmethod
    def like(cls, route: BaseRoute) -> BaseRoute:
        """Copy a plain route; routes of other kinds stay as they are."""
        if type(route) is not Route:
            return route
        methods = sorted(route.methods or ())
        return cls(route.path, route.endpoint, methods=methods, name=route.name, include_in_schema=False)
