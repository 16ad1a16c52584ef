"""API keys over HTTP: listed without their secrets, and revoked."""

import pytest

from tests.unit.gateway_control.outsiders import Api


async def test_keys_are_listed_by_id_and_never_with_a_secret(admin: Api) -> None:
    made = [await admin.make("/v1/api-keys", {"role": "analyst", "display_name": f"k{n}"}) for n in range(3)]
    first = await admin.get("/v1/api-keys?page_size=2")
    rest = await admin.get(f"/v1/api-keys?page_size=2&page_token={first['next_page_token']}")
    assert isinstance(first["api_keys"], list)
    assert isinstance(rest["api_keys"], list)
    expected = [{name: value for name, value in key.items() if name != "secret"} for key in made]
    assert first["api_keys"] + rest["api_keys"] == sorted(expected, key=lambda key: str(key["id"]))
    assert rest["next_page_token"] == ""


async def test_a_revoked_key_is_refused_at_once(admin: Api) -> None:
    other = await admin.key_for("analyst")
    await other.get("/v1/campaigns")
    listed = (await admin.get("/v1/api-keys"))["api_keys"]
    assert isinstance(listed, list)
    (key_id,) = [key["id"] for key in listed]
    assert (await admin.call("DELETE", f"/v1/api-keys/{key_id}")).status_code == 204
    assert (await other.call("GET", "/v1/campaigns")).status_code == 401
    assert (await admin.call("DELETE", f"/v1/api-keys/{key_id}")).status_code == 404
    assert (await admin.get("/v1/api-keys"))["api_keys"] == []


@pytest.mark.parametrize("role", ["advertiser", "analyst"])
async def test_only_admins_see_and_revoke_keys(admin: Api, tree: dict[str, object], role: str) -> None:
    other = await admin.key_for(role, "acme" if role == "advertiser" else None)
    assert (await other.call("GET", "/v1/api-keys")).status_code == 403
    assert (await other.call("DELETE", "/v1/api-keys/key-x")).status_code == 403
