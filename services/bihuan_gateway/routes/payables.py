"""What is payable to promoters and publishers."""

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from bihuan_gateway.control.specs import Kind
from bihuan_gateway.routes.advertisers import BalanceView, balance_document
from bihuan_gateway.routes.wire import Caller, Control, Named, control_router

router = control_router("payables")


class PromoterBalancesView(BaseModel):
    """What is payable to a promoter, by currency."""

    promoter_id: str
    balances: list[BalanceView]


class PublisherBalancesView(BaseModel):
    """What is payable to a publisher, by currency."""

    publisher_id: str
    balances: list[BalanceView]


@router.get("/v1/promoters/{resource_id}/balance", response_model=PromoterBalancesView)
async def get_promoter_balance(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Tell what is payable to a promoter (admin)."""
    found = await control.promotion.payable(caller, Kind.PROMOTERS, resource_id)
    return JSONResponse({"promoter_id": resource_id, "balances": [balance_document(one) for one in found]})


@router.get("/v1/publishers/{resource_id}/balance", response_model=PublisherBalancesView)
async def get_publisher_balance(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Tell what is payable to a publisher (admin)."""
    found = await control.promotion.payable(caller, Kind.PUBLISHERS, resource_id)
    return JSONResponse({"publisher_id": resource_id, "balances": [balance_document(one) for one in found]})
