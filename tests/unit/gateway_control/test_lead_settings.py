"""How an advertiser says where leads go, and who may see what they are signed with."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from bihuan_gateway.control.lead_specs import LeadSpec
from bihuan_gateway.control.lead_terms import lead_terms
from bihuan_gateway.control.terms_hop import advertiser_message
from bihuan_gateway.settings import Settings
from tests.unit.gateway_control.outsiders import Api, Outsiders

POINTS = [{"action": "click", "points": 1, "max_count": 3}, {"action": "form_submit", "points": 20}]
LEADS = {"threshold": 20, "points": POINTS, "webhook_url": "https://crm.example.com/hook", "nurture_audience": "warm"}
MASTER = "a-secret-of-the-gateway-that-is-long-enough"


@pytest.fixture
def settings(tmp_path: Path, settings: Settings) -> Settings:
    return settings.model_copy(update={"webhook_secrets": SecretStr(MASTER)})


def advertiser(**leads: object) -> dict[str, object]:
    return {"id": "acme", "display_name": "A", "currency": "USD", "leads": {**LEADS, **leads}}


async def test_an_advertiser_says_how_leads_are_scored_and_where_they_go(admin: Api) -> None:
    made = await admin.make("/v1/advertisers", advertiser())
    expected = {**LEADS, "points": [POINTS[0], {**POINTS[1], "max_count": 1}]}
    assert made["leads"] == expected
    assert (await admin.get("/v1/advertisers/acme"))["leads"] == expected
    plain = await admin.make("/v1/advertisers", {"id": "plain", "display_name": "P", "currency": "USD"})
    assert plain["leads"] is None


async def test_rules_that_change_reach_attribution_and_can_end(admin: Api, outsiders: Outsiders) -> None:
    await admin.make("/v1/advertisers", advertiser())
    changed = await admin.call("PATCH", "/v1/advertisers/acme", {"leads": {"threshold": 30}})
    assert (changed.status_code, changed.json()["leads"]["threshold"]) == (200, 30)
    ended = await admin.call("PATCH", "/v1/advertisers/acme", {"leads": None})
    assert ended.json()["leads"] is None
    told = [advertiser_message(one).leads for one in outsiders.attribution.accounts]
    assert [one.threshold for one in told] == [20, 30, 0]


@pytest.mark.parametrize(
    ("leads", "pointer"),
    [
        ({"threshold": 0}, "/leads/threshold"),
        ({"threshold": "20"}, "/leads/threshold"),
        ({"points": []}, "/leads/points"),
        ({"points": [{"action": "Form", "points": 1}]}, "/leads/points/0/action"),
        ({"points": [{"action": "form", "points": 1001}]}, "/leads/points/0/points"),
        ({"points": [{"action": "form", "points": 1, "max_count": 0}]}, "/leads/points/0/max_count"),
        ({"points": [{"action": "form", "points": 1}] * 2}, "/leads"),
        ({"webhook_url": "https://169.254.169.254/"}, "/leads/webhook_url"),
        ({"webhook_url": "http://crm.example.com/"}, "/leads/webhook_url"),
        ({"nurture_audience": "No Id"}, "/leads/nurture_audience"),
        ({"secret": "x"}, "/leads/secret"),
    ],
)
async def test_the_field_at_fault_is_named(admin: Api, leads: dict[str, object], pointer: str) -> None:
    answer = await admin.call("POST", "/v1/advertisers", advertiser(**leads))
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_admins_see_what_an_advertisers_webhooks_are_signed_with(admin: Api) -> None:
    await admin.make("/v1/advertisers", advertiser())
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    answer = await admin.call("GET", "/v1/advertisers/acme/webhook-secret")
    assert answer.headers["cache-control"] == "no-store"
    (secret,) = answer.json()["secrets"]
    assert secret.startswith("whsec_")
    assert (await admin.get("/v1/advertisers/rival/webhook-secret"))["secrets"] != [secret]
    assert (await admin.call("GET", "/v1/advertisers/nobody/webhook-secret")).status_code == 404
    for role, tenant in (("advertiser", "acme"), ("advertiser", "rival"), ("analyst", None)):
        other = await admin.key_for(role, tenant)
        refused = await other.call("GET", "/v1/advertisers/acme/webhook-secret")
        assert refused.status_code == 403
        assert secret not in refused.text


class TestWithoutASecret:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"webhook_secrets": SecretStr("")})

    async def test_the_secret_of_a_webhook_is_not_there(self, admin: Api) -> None:
        await admin.make("/v1/advertisers", advertiser())
        answer = await admin.call("GET", "/v1/advertisers/acme/webhook-secret")
        assert (answer.status_code, answer.json()["type"]) == (409, "urn:bihuan:FAILED_PRECONDITION")


def test_attribution_learns_the_rules_and_not_where_leads_go() -> None:
    message = lead_terms(LeadSpec.model_validate(LEADS))
    assert message is not None
    assert (message.threshold, [(one.action, one.points, one.max_count) for one in message.points]) == (
        20, [("click", 1, 3), ("form_submit", 20, 1)],
    )  # fmt: skip
    assert b"crm" not in message.SerializeToString()
    assert lead_terms(None) is None
