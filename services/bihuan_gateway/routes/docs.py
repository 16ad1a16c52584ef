"""The page that shows the OpenAPI document; everything it loads comes from this process."""

from functools import cache
from importlib.resources import files

from fastapi import APIRouter, Request
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from bihuan_shared.errors import NotFound

PACKAGE = "fastapi_offline"
"""The distribution that ships Swagger UI; only its files are used."""
ASSETS = {
    "swagger-ui-bundle.js": "text/javascript",
    "swagger-ui.css": "text/css",
    "favicon.png": "image/png",
}
_DAY = "public, max-age=86400"
_ONLY_HERE = (
    "default-src 'none'; connect-src 'self'; img-src 'self' data:; font-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; script-src 'self' 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'"
)
router = APIRouter(include_in_schema=False)


@cache
def _asset(name: str) -> bytes:
    return files(PACKAGE).joinpath("static", name).read_bytes()


@router.get("/docs")
def get_docs(request: Request) -> HTMLResponse:
    """Show the API."""
    root = request.scope.get("root_path", "").rstrip("/")
    page = get_swagger_ui_html(
        openapi_url=f"{root}{request.app.openapi_url}",
        title=request.app.title,
        swagger_js_url=f"{root}/docs/assets/swagger-ui-bundle.js",
        swagger_css_url=f"{root}/docs/assets/swagger-ui.css",
        swagger_favicon_url=f"{root}/docs/assets/favicon.png",
    )
    page.headers["content-security-policy"] = _ONLY_HERE
    return page


@router.get("/docs/assets/{name}")
def get_docs_asset(name: str) -> Response:
    """Answer one of the files that the page loads."""
    if name not in ASSETS:
        raise NotFound("no such file")
    return Response(_asset(name), media_type=ASSETS[name], headers={"cache-control": _DAY})
