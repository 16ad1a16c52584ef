"""`GET /t/p/{link}`."""

from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from bihuan_gateway.data.routes.tracking import NO_STORE
from bihuan_gateway.data.routes.visit import visit_of
from bihuan_gateway.data.use_cases.promote import Promote
from bihuan_gateway.data.use_cases.track import Track
from bihuan_gateway.planes import NamedRoute


@dataclass(frozen=True, slots=True)
class PromotionRoutes:
    """The redirect of a promoter's link."""

    promote: Promote
    track: Track

    def routes(self) -> list[BaseRoute]:
        """List the routes."""
        return [NamedRoute("/t/p/{link:path}", self.follow, methods=["GET"])]

    async def follow(self, request: Request) -> Response:
        """Record a click and send the browser to the landing URL of the creative; the query is never looked at."""
        token = self.promote.mint(request.path_params["link"])
        # HEAD is what link checkers and prefetchers send; nobody came.
        if request.method != "GET":
            return Response(headers=NO_STORE)
        landing_url = await self.track.click(token, visit_of(request))
        return RedirectResponse(landing_url, status_code=302, headers=NO_STORE)
