"""`GET /t/{i,v,l,c}/{token}`."""

import re
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute

from bihuan_gateway.data.routes.visit import visit_of
from bihuan_gateway.data.use_cases.track import IMPRESSION, LANDING, VIEWABLE, Track
from bihuan_gateway.planes import NamedRoute
from bihuan_shared.tokens import MAX_TOKEN_CHARS, TokenInvalid

GIF = b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
NO_STORE = {
    "cache-control": "no-store, no-cache, must-revalidate, private, max-age=0",
    "pragma": "no-cache",
    "expires": "0",
}
_PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")
_TOKEN = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class TrackingRoutes:
    """Beacons and the redirect of a click."""

    track: Track

    def routes(self) -> list[BaseRoute]:
        """List the routes."""
        return [
            NamedRoute("/t/i/{token:path}", self._pixel(IMPRESSION), methods=["GET"]),
            NamedRoute("/t/v/{token:path}", self._pixel(VIEWABLE), methods=["GET"]),
            NamedRoute("/t/l/{token:path}", self._pixel(LANDING), methods=["GET"]),
            NamedRoute("/t/c/{token:path}", self.click, methods=["GET"]),
        ]

    def _pixel(self, kind: str) -> Callable[[Request], Awaitable[Response]]:
        async def pixel(request: Request) -> Response:
            token = request.path_params["token"]
            # HEAD is what link checkers and prefetchers send; nobody saw anything.
            if request.method == "GET" and _looks_like_token(token):
                await self.track.beacon(kind, token, visit_of(request))
            return Response(GIF, media_type="image/gif", headers=NO_STORE)

        return pixel

    async def click(self, request: Request) -> Response:
        """Send the browser to the landing URL of the creative; the request's query is never looked at."""
        token = request.path_params["token"]
        if not _looks_like_token(token):
            raise TokenInvalid("this is no tracking token")
        if request.method != "GET":
            return Response(headers=NO_STORE)
        landing_url = await self.track.click(token, visit_of(request))
        return RedirectResponse(landing_url, status_code=302, headers=NO_STORE)


def _looks_like_token(text: str) -> bool:
    return len(text) <= MAX_TOKEN_CHARS and _TOKEN.fullmatch(text) is not None
