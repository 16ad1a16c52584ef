"""Settlement through the HTTP API: who may do it, and what it answers."""

import pytest

from bihuan_gateway.control.settlement import Fault
from tests.unit.gateway_control.outsiders import Api, Outsiders

PAYOUT = {"account": "promoter:payable:pia", "amount_micros": 5_000, "currency": "USD"}


async def test_a_payout_is_named_by_its_idempotency_key(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    assert (await admin.call("POST", "/v1/payouts", PAYOUT)).json()["errors"][0]["pointer"] == (
        "/header/idempotency-key"
    )
    made = await admin.make("/v1/payouts", PAYOUT, idempotency_key="pay-1")
    assert made["payout_id"] == "pay-1"
    assert await admin.make("/v1/payouts", PAYOUT, idempotency_key="pay-1") == made
    assert outsiders.settlement.payouts == {"pay-1": ("promoter:payable:pia", "USD", 5_000)}
    other = await admin.call("POST", "/v1/payouts", {**PAYOUT, "amount_micros": 4}, idempotency_key="pay-1")
    assert other.status_code == 409
    assert other.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    ("change", "pointer"),
    [
        ({"amount_micros": 0}, "/amount_micros"),
        ({"amount_micros": "5"}, "/amount_micros"),
        ({"account": "platform:cash"}, "/account"),
        ({"account": "advertiser:prepaid:acme"}, "/account"),
        ({"currency": "yuan"}, "/currency"),
        ({"note": "x"}, "/note"),
    ],
)
async def test_a_payout_that_is_not_well_formed_is_refused_by_field(
    admin: Api, change: dict[str, object], pointer: str
) -> None:
    answer = await admin.call("POST", "/v1/payouts", {**PAYOUT, **change}, idempotency_key="k")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_more_than_is_payable_is_a_conflict_that_says_so(admin: Api) -> None:
    answer = await admin.call("POST", "/v1/payouts", {**PAYOUT, "amount_micros": 5_001}, idempotency_key="k")
    assert answer.status_code == 409
    assert "payable" in answer.text


async def test_a_period_is_closed_and_listed(admin: Api, outsiders: Outsiders) -> None:
    answer = await admin.call("POST", "/v1/periods/2023-11/close")
    assert answer.status_code == 200
    closed = answer.json()
    assert (closed["period"]["state"], closed["period"]["close_time"]) == ("closed", "1970-01-01T00:00:05Z")
    assert closed["invoices"][0]["lines"][0]["rounded_nanos"] == 10_000_000
    assert closed["invoices"][0]["issue_time"] == "1970-01-01T00:00:05Z"
    assert outsiders.settlement.closed == ["2023-11"]
    listed = await admin.get("/v1/periods")
    assert listed["periods"] == [
        {"period": "2023-11", "state": "open", "close_time": None, "last_entry_id": 0, "head_hash": ""}
    ]
    for month in ("2023-13", "2023-1", "november"):
        refused = await admin.call("POST", f"/v1/periods/{month}/close")
        assert refused.status_code == 400, month
    outsiders.settlement.behind = True
    assert (await admin.call("POST", "/v1/periods/2023-12/close")).status_code == 503


async def test_a_proof_names_what_is_broken_and_where_to_go_on(admin: Api, outsiders: Outsiders) -> None:
    outsiders.settlement.faults = (Fault("hash_chain", 5, "edited"),)
    first = await admin.get("/v1/ledger/verification")
    assert first["faults"] == [{"invariant": "hash_chain", "entry_id": 5, "detail": "edited"}]
    assert (first["next_after_entry_id"], first["head_hash"]) == (2, "cd" * 32)
    assert (await admin.get("/v1/ledger/verification?after_entry_id=2"))["next_after_entry_id"] == 0
    assert (await admin.call("GET", "/v1/ledger/verification?after_entry_id=-1")).status_code == 400


async def test_what_is_of_no_tenant_is_for_admins(admin: Api, tree: dict[str, object]) -> None:
    for key in (await admin.key_for("advertiser", "acme"), await admin.key_for("analyst")):
        for method, path, body in (
            ("POST", "/v1/payouts", PAYOUT),
            ("POST", "/v1/periods/2023-11/close", None),
            ("GET", "/v1/periods", None),
            ("GET", "/v1/ledger/verification", None),
        ):
            answer = await key.call(method, path, body, idempotency_key="k")
            assert answer.status_code == 403, path
    for path in ("/v1/periods", "/v1/invoices", "/v1/ledger/verification", "/v1/ledger/entries/1/trace"):
        assert (await Api(admin.client, "").call("GET", path)).status_code == 401


async def test_an_advertiser_sees_its_own_invoices_and_traces_and_no_others(
    admin: Api, tree: dict[str, object]
) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "Rival", "currency": "USD"})
    acme, rival = await admin.key_for("advertiser", "acme"), await admin.key_for("advertiser", "rival")
    everyone = await admin.get("/v1/invoices?page_size=1")
    assert everyone["next_page_token"] == "next"
    for owner, entry_id, key, other in (("acme", 1, acme, "rival"), ("rival", 2, rival, "acme")):
        page = await key.get("/v1/invoices")
        assert [one["advertiser_id"] for one in page["invoices"]] == [owner]  # type: ignore[attr-defined]  # a list in JSON
        assert (await key.call("GET", f"/v1/invoices?advertiser_id={other}")).status_code == 404
        assert (await key.get(f"/v1/ledger/entries/{entry_id}/trace"))["order_id"] == "o1"
        foreign = await key.call("GET", f"/v1/ledger/entries/{3 - entry_id}/trace")
        absent = await key.call("GET", "/v1/ledger/entries/99/trace")
        assert foreign.status_code == absent.status_code == 404
        assert foreign.json()["detail"] == absent.json()["detail"], "nobody learns what exists"
    assert (await acme.call("GET", "/v1/invoices?period=2023-00")).status_code == 400


async def test_only_admins_see_tokens_as_they_were_sealed(admin: Api, tree: dict[str, object]) -> None:
    for key, token in (
        (admin, "sealed"),
        (await admin.key_for("advertiser", "acme"), ""),
        (await admin.key_for("analyst"), ""),
    ):
        trace = await key.get("/v1/ledger/entries/1/trace")
        event = trace["events"][0]  # type: ignore[index]  # a list in JSON
        assert (event["token"], event["token_verified"], event["decision_id"]) == (token, True, "d1")
    assert (await admin.call("GET", "/v1/ledger/entries/0/trace")).status_code == 400


async def test_entries_and_balances_are_asked_for_as_of_a_time(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    await admin.get("/v1/ledger/entries?order_id=o1&as_of_time=1970-01-01T00:00:01Z&advertiser_id=acme")
    asked = outsiders.attribution.entry_queries[-1]
    assert (asked.advertiser_id, asked.order_id, asked.as_of_us) == ("acme", "o1", 1_000_000)
    assert (await admin.get("/v1/advertisers/acme/balance?as_of_time=1970-01-01T00:00:01Z"))["balances"] == []
    assert (await admin.call("GET", "/v1/ledger/entries?as_of_time=today")).status_code == 400
