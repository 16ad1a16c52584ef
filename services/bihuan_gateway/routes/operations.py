"""Health, readiness and metrics."""

from collections.abc import Awaitable, Callable

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest

from bihuan_gateway.routes.wire import control_router
from bihuan_shared.errors import Unavailable

router = control_router("operations")
Ready = Callable[[], Awaitable[bool]]


@router.get("/healthz")
async def get_health() -> dict[str, str]:
    """Answer as long as the process does."""
    return {"status": "ok"}


@router.get("/readyz")
async def get_readiness(request: Request) -> JSONResponse:
    """Answer 200 while the stores that the gateway owns answer, 503 otherwise."""
    ready: Ready = request.app.state.ready
    if not await ready():
        raise Unavailable("the gateway's store does not answer")
    return JSONResponse({"status": "ready"})


@router.get("/metrics", response_class=Response)
async def get_metrics() -> Response:
    """Answer the process's metrics in Prometheus's text form."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)
