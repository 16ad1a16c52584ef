"""Links of promoters."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.promotion import LinkSpec
from bihuan_gateway.routes.wire import Caller, Control, Key, Named, control_router
from bihuan_shared.clock import format_rfc3339

router = control_router("promoters")


class LinkView(BaseModel):
    """A link as it was given out; `url` is what the promoter shares until `expire_time`."""

    id: str
    promoter_id: str
    campaign_id: str
    creative_id: str
    sub_id: str
    url: str
    create_time: str
    expire_time: str


@router.post("/v1/promoters/{resource_id}/links", status_code=201, response_model=LinkView)
async def create_link(
    resource_id: Named, body: LinkSpec, control: Control, caller: Caller, key: Key = None
) -> JSONResponse:
    """Give out a link of a promoter to a creative of a CPS campaign (admin, and the campaign's advertiser)."""
    made = await control.promotion.create_link(caller, resource_id, body, key=key)
    link = made.link
    written = {
        "id": link.link_id,
        "promoter_id": link.promoter_id,
        "campaign_id": link.campaign_id,
        "creative_id": link.creative_id,
        "sub_id": link.sub_id,
        "url": f"{control.public_url}/t/p/{made.sealed}",
        "create_time": format_rfc3339(made.create_time_us),
        "expire_time": format_rfc3339(link.expire_time_us),
    }
    return JSONResponse(written, status_code=201)
