"""Addresses that stand in the contract and are not built yet."""

from fastapi import APIRouter

from bihuan_gateway.problem import MEDIA_TYPE
from bihuan_gateway.routes.wire import Caller
from bihuan_shared.errors import NotYet

_NOT_YET = {
    "description": "Not built yet",
    "content": {MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
}
router = APIRouter(tags=["not yet"], responses={501: _NOT_YET})


@router.post("/v1/experiments", status_code=201)
@router.get("/v1/experiments")
@router.get("/v1/experiments/{experiment_id}")
@router.post("/v1/erasures", status_code=201)
@router.post("/openrtb2/bid")
@router.post("/rta/tencent")
@router.post("/rta/bytedance")
async def not_yet(_: Caller) -> None:
    """Answer 501 with reason NOT_YET."""
    raise NotYet("this is part of the contract and not built yet")
