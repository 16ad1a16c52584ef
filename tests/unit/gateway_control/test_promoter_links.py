"""Links that promoters share, and what is payable, through the HTTP API."""

import pytest

from bihuan_gateway.control.promoter_link import LINK_LIFE_US, open_link
from bihuan_shared.clock import parse_rfc3339_us
from bihuan_shared.tokens import KeyRing, TokenInvalid
from tests.unit.gateway_control.outsiders import CPS, KEYS, Api, campaign

LINK = {"campaign_id": "campaign-9", "creative_id": "creative-9", "sub_id": "微博 #3"}
PATH = "/v1/promoters/annabel/links"


@pytest.fixture
async def shop(admin: Api, tree: dict[str, object]) -> Api:
    """Add a promoter, a CPS campaign of `acme` and its creative; answer a key of `acme`."""
    await admin.make("/v1/promoters", {"id": "annabel", "display_name": "Ann"})
    await admin.make("/v1/campaigns", campaign(id="campaign-9", pricing=CPS))
    await admin.make("/v1/ad-groups", {"id": "g9", "campaign_id": "campaign-9", "display_name": "G"})
    await admin.make("/v1/creatives", {"id": "creative-9", "ad_group_id": "g9", "landing_url": "https://shop.example/"})
    return await admin.key_for("advertiser", "acme")


async def test_a_link_says_nothing_and_holds_everything(shop: Api) -> None:
    made = await shop.make(PATH, LINK)
    url = str(made["url"])
    assert url.startswith("https://ads.example/t/p/")
    assert not any(word in url for word in ("annabel", "campaign-9", "creative-9", "acme"))
    created_us = parse_rfc3339_us(str(made["create_time"]))
    link = open_link(KeyRing.parse(KEYS), url.rpartition("/")[2], created_us)
    assert (link.link_id, link.promoter_id, link.campaign_id, link.creative_id, link.sub_id) == (
        made["id"],
        "annabel",
        "campaign-9",
        "creative-9",
        "微博 #3",
    )
    assert link.expire_time_us == created_us + LINK_LIFE_US == parse_rfc3339_us(str(made["expire_time"]))


async def test_a_link_is_no_token_of_an_event(shop: Api) -> None:
    text = str((await shop.make(PATH, LINK))["url"]).rpartition("/")[2]
    with pytest.raises(TokenInvalid):
        KeyRing.parse(KEYS).open(text, 0)


async def test_a_repeat_under_its_key_is_the_same_link(shop: Api, admin: Api) -> None:
    first = await shop.make(PATH, LINK, idempotency_key="k")
    # Whatever became of the campaign meanwhile.
    cpm = dict.fromkeys(CPS) | {"model": "cpm", "bid_micros": 5}
    assert (await admin.call("PATCH", "/v1/campaigns/campaign-9", {"pricing": cpm})).status_code == 200
    assert await shop.make(PATH, LINK, idempotency_key="k") == first
    assert (await shop.call("POST", PATH, LINK, idempotency_key="k2")).status_code == 400
    other = await shop.call("POST", PATH, {**LINK, "sub_id": "x"}, idempotency_key="k")
    assert other.status_code == 409
    assert (await shop.call("POST", "/v1/campaigns", campaign(), idempotency_key="k")).status_code == 409


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"campaign_id": "c1"}, 400),
        ({"creative_id": "k1"}, 400),
        ({"campaign_id": "nothing"}, 404),
        ({"creative_id": "nothing"}, 404),
        ({"sub_id": "x" * 81}, 400),
        ({"sub_id": "a\nb"}, 400),
        ({"url": "https://evil.example/"}, 400),
        ({"promoter_id": "bob"}, 400),
        ({"expire_time": "2099-01-01T00:00:00Z"}, 400),
    ],
)
async def test_a_link_leads_to_a_creative_of_a_campaign_that_pays_commission(
    shop: Api, changes: dict[str, object], status: int
) -> None:
    assert (await shop.call("POST", PATH, {**LINK, **changes})).status_code == status


async def test_a_link_needs_its_promoter(shop: Api) -> None:
    assert (await shop.call("POST", "/v1/promoters/bob/links", LINK)).status_code == 404


async def test_an_advertiser_gives_out_links_to_its_own_campaigns_only(shop: Api, admin: Api) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    rival = await admin.key_for("advertiser", "rival")
    assert (await rival.call("POST", PATH, LINK)).status_code == 404
    await rival.make("/v1/campaigns", campaign("rival", id="r9", pricing=CPS))
    assert (await rival.call("POST", PATH, {**LINK, "campaign_id": "r9"})).status_code == 404


async def test_what_is_payable_is_told_by_currency(shop: Api, admin: Api) -> None:
    await admin.make("/v1/publishers", {"id": "pub", "display_name": "P"})
    for kind, name in (("promoter", "annabel"), ("publisher", "pub")):
        assert await admin.get(f"/v1/{kind}s/{name}/balance") == {
            f"{kind}_id": name,
            "balances": [
                {
                    "account": f"{kind}:payable:{name}",
                    "currency": "USD",
                    "balance_micros": 8,
                    "balance_nanos": 7_500,
                }
            ],
        }
        assert (await admin.call("GET", f"/v1/{kind}s/nobody/balance")).status_code == 404
