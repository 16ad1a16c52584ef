"""What a request says of where it comes from, as the rules of traffic read it."""

from starlette.requests import Request

from bihuan_gateway.data.domain.traffic import Visit

_PURPOSES = ("sec-purpose", "purpose", "x-purpose", "x-moz")


def visit_of(request: Request) -> Visit:
    """Take a visit from a request; it is never stored."""
    headers = request.headers
    return Visit(
        user_agent=headers.get("user-agent", ""),
        purposes=tuple(headers[name] for name in _PURPOSES if name in headers),
        peer=request.client.host if request.client is not None else "",
        forwarded=",".join(headers.getlist("x-forwarded-for")),
    )
