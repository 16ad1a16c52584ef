"""Audiences of other audiences and of brand behaviour, their versions and overlaps, through the HTTP API."""

import pytest

from bihuan_gateway.control.packages import BrandBehaviourSpec, CombinationSpec
from tests.unit.gateway_control.outsiders import Api, Outsiders

BODY = {"advertiser_id": "acme", "display_name": "A"}


async def _lists(admin: Api, *names: str, advertiser: str = "acme") -> None:
    for name in names:
        members = [{"namespace": "cookie", "value": name}]
        await admin.make("/v1/audiences", {**BODY, "id": name, "advertiser_id": advertiser, "members": members})


async def test_combination_reaches_scoring_and_shows_its_definition_expression_and_history(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    await _lists(admin, "a", "b")
    body = {**BODY, "id": "less", "combination": {"all_of": ["a"], "none_of": ["b"]}, "refresh_interval_s": 60}
    made = await admin.make("/v1/audiences", body)
    assert outsiders.audiences.packages["less"] == (CombinationSpec(all_of=("a",), none_of=("b",)), 60)
    assert made["combination"] == {"all_of": ["a"], "any_of": [], "none_of": ["b"]}
    shown = await admin.get("/v1/audiences/less")
    assert (shown["expression"], shown["members_version"], shown["refresh_interval_s"]) == ("true", 3, 60)
    assert shown["history"] == [
        {"version": 3, "size": 1_230, "below_floor": False, "version_time": None, "cause": "built"}
    ]


async def test_brand_behaviour_reaches_scoring_and_a_repeat_under_its_key_is_the_same(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    body = {**BODY, "brand_behaviour": {"kind": "fans_of_rival", "brand": "tea", "rival": "coffee"}}
    made = await admin.make("/v1/audiences", body, idempotency_key="k")
    assert (await admin.make("/v1/audiences", body, idempotency_key="k"))["id"] == made["id"]
    other = {**BODY, "brand_behaviour": {"kind": "existing", "brand": "tea"}}
    assert (await admin.call("POST", "/v1/audiences", other, idempotency_key="k")).status_code == 409
    asked = BrandBehaviourSpec(kind="fans_of_rival", brand="tea", rival="coffee")
    assert list(outsiders.audiences.packages.values()) == [(asked, 0)]


@pytest.mark.parametrize(
    ("changes", "pointer"),
    [
        ({"combination": {"all_of": ["a"]}, "expression": "age > 1"}, "/members"),
        ({"combination": {"all_of": ["a"]}, "brand_behaviour": {"kind": "existing", "brand": "b"}}, "/members"),
        ({"combination": {"all_of": ["a", "nobody"]}}, "/combination/all_of/1"),
        ({"combination": {"any_of": ["a"], "none_of": ["theirs"]}}, "/combination/none_of/0"),
        ({"combination": {"any_of": ["a"] * 21}}, "/combination/any_of"),
        ({"brand_behaviour": {"kind": "loved", "brand": "b"}}, "/brand_behaviour/kind"),
        ({"brand_behaviour": {"kind": "existing", "brand": ""}}, "/brand_behaviour/brand"),
        ({"expression": "age > 1", "refresh_interval_s": 59}, "/refresh_interval_s"),
    ],
)
async def test_wrong_package_names_its_field(
    admin: Api, tree: dict[str, object], changes: dict[str, object], pointer: str
) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    await _lists(admin, "a")
    await _lists(admin, "theirs", advertiser="rival")
    answer = await admin.call("POST", "/v1/audiences", {**BODY, **changes})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_overlap_is_asked_in_the_order_of_the_ids_on_behalf_of_their_advertiser(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    await _lists(admin, "b", "a")
    answer = await admin.get("/v1/audiences:overlap?ids=b,a")
    assert outsiders.audiences.compared == [("acme", ("b", "a"))]
    assert answer["audiences"] == [{"id": one, "size": 1_230, "below_floor": False} for one in ("b", "a")]
    assert answer["overlaps"] == [{"id": "b", "other_id": "a", "intersection": 0, "jaccard": 0.0, "below_floor": True}]


async def test_overlap_of_others_audiences_is_refused(
    admin: Api, tree: dict[str, object], outsiders: Outsiders
) -> None:
    await admin.make("/v1/advertisers", {"id": "rival", "display_name": "R", "currency": "USD"})
    await _lists(admin, "a", "b")
    await _lists(admin, "theirs", advertiser="rival")
    many = ",".join(f"a{index}" for index in range(51))
    for ids, status in (("a,theirs", 400), ("a,nobody", 404), ("a", 400), ("a,a", 400), (many, 400)):
        assert (await admin.call("GET", f"/v1/audiences:overlap?ids={ids}", None)).status_code == status
    rival = await admin.key_for("advertiser", "rival")
    assert (await rival.call("GET", "/v1/audiences:overlap?ids=a,b", None)).status_code == 404
    assert outsiders.audiences.compared == []
