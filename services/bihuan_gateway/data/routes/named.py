"""A route that tells the edge its template, for spans, metrics and the access log."""

from starlette.routing import Match, Route
from starlette.types import Scope


class NamedRoute(Route):
    """A Starlette route that, like FastAPI's, leaves itself in the scope."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Match as any route does."""
        match, child = super().matches(scope)
        if match is not Match.NONE:
            child["route"] = self
        return match, child
