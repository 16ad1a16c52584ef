"""Advertisers, their deposits and their balance."""

from typing import Annotated

from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field, JsonValue, StrictInt

from bihuan_gateway.control.fields import MAX_AMOUNT_MICROS, Currency, ResourceId, Spec
from bihuan_gateway.control.insight import Balance
from bihuan_gateway.control.specs import AdvertiserSpec, Kind
from bihuan_gateway.routes.ledger import AsOf, EntryView, entry_document, to_micros
from bihuan_gateway.routes.wire import (
    After,
    Caller,
    Changes,
    Control,
    Expected,
    Key,
    Named,
    Size,
    View,
    control_router,
    created,
    listed,
    shown,
    spec_of,
    taken_version,
)
from bihuan_shared.clock import parse_rfc3339_us
from bihuan_shared.errors import InvalidArgument

router = control_router("advertisers")


class AdvertiserCreate(AdvertiserSpec):
    """An advertiser to create; the id is made where none is given."""

    id: ResourceId | None = None


class AdvertiserView(View, AdvertiserSpec):
    """An advertiser as it stands."""


class AdvertiserPage(BaseModel):
    """A page of advertisers, by id."""

    advertisers: list[AdvertiserView]
    next_page_token: str


@router.post("/v1/advertisers", status_code=201, response_model=AdvertiserView)
async def create_advertiser(body: AdvertiserCreate, control: Control, caller: Caller, key: Key = None) -> JSONResponse:
    """Create an advertiser (admin)."""
    spec = spec_of(AdvertiserSpec, body)
    return created(await control.catalogue.create(caller, Kind.ADVERTISERS, spec, resource_id=body.id, key=key))


@router.get("/v1/advertisers/{resource_id}", response_model=AdvertiserView)
async def get_advertiser(resource_id: Named, control: Control, caller: Caller) -> JSONResponse:
    """Show one advertiser."""
    return shown(await control.catalogue.get(caller, Kind.ADVERTISERS, resource_id))


@router.get("/v1/advertisers", response_model=AdvertiserPage)
async def list_advertisers(control: Control, caller: Caller, after: After, size: Size = 100) -> JSONResponse:
    """List advertisers by id."""
    page = await control.catalogue.list(
        caller, Kind.ADVERTISERS, size=size, after=after, advertiser_id=None, parent_id=None
    )
    return listed(page, "advertisers")


@router.patch("/v1/advertisers/{resource_id}", response_model=AdvertiserView)
async def change_advertiser(
    resource_id: Named, body: Changes, control: Control, caller: Caller, expected: Expected
) -> JSONResponse:
    """Change an advertiser (admin) by a JSON merge patch; with `version` or If-Match only if that is the newest."""
    changes, version = taken_version(body, expected)
    return shown(await control.catalogue.patch(caller, Kind.ADVERTISERS, resource_id, changes, version=version))


class DepositCreate(Spec):
    """Money that an advertiser paid in. The idempotency key names the deposit, forever."""

    amount_micros: Annotated[StrictInt, Field(ge=1, le=MAX_AMOUNT_MICROS)]
    currency: Currency


class BalanceView(BaseModel):
    """What one account holds; exact nanos, and micros rounded half-even."""

    account: str
    currency: str
    balance_micros: int
    balance_nanos: int


class BalancesView(BaseModel):
    """What an advertiser's accounts hold."""

    advertiser_id: str
    balances: list[BalanceView]


@router.post("/v1/advertisers/{resource_id}/deposits", status_code=201, response_model=EntryView)
async def create_deposit(
    resource_id: Named, body: DepositCreate, control: Control, caller: Caller, key: Key = None
) -> JSONResponse:
    """Book a deposit (admin). `Idempotency-Key` is required: it is the deposit's id."""
    if key is None:
        raise InvalidArgument.of("/header/idempotency-key", "is required: it names the deposit")
    entry = await control.effects.deposit(
        caller, resource_id, currency=body.currency, amount_micros=body.amount_micros, deposit_id=key
    )
    return JSONResponse({**entry_document(entry), "deposit_id": key}, status_code=201)


@router.get("/v1/advertisers/{resource_id}/balance", response_model=BalancesView)
async def get_balance(resource_id: Named, control: Control, caller: Caller, as_of_time: AsOf = None) -> JSONResponse:
    """Tell what an advertiser's accounts hold, now or as it was believed then."""
    as_of_us = parse_rfc3339_us(as_of_time) if as_of_time is not None else None
    balances = await control.effects.balances(caller, resource_id, as_of_us)
    return JSONResponse({"advertiser_id": resource_id, "balances": [balance_document(one) for one in balances]})


def balance_document(balance: Balance) -> dict[str, JsonValue]:
    """Write what one account holds."""
    return {
        "account": balance.account,
        "currency": balance.currency,
        "balance_micros": to_micros(balance.balance_nanos),
        "balance_nanos": balance.balance_nanos,
    }
