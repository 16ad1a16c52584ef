"""Requests for decisions, and what is read out of the answers."""

import httpx

CONSENT = {"purposes": ["TARGETING", "MEASUREMENT"], "data_classes": ["OPERATION"], "source": "cmp"}
COOKIE = [{"namespace": "cookie", "value": "c1"}]


def ask(request_id: str = "r1", *placements: str, **more: object) -> dict[str, object]:
    return {
        "request_id": request_id,
        "placements": [{"placement_id": name} for name in placements or ("home",)],
        **more,
    }


async def decide(client: httpx.AsyncClient, body: dict[str, object]) -> dict[str, object]:
    response = await client.post("/v1/decisions", json=body)
    assert response.status_code == 200, response.text
    answer: dict[str, object] = response.json()
    return answer


async def first(client: httpx.AsyncClient, body: dict[str, object]) -> dict[str, object]:
    placements = (await decide(client, body))["placements"]
    assert isinstance(placements, list)
    decision: dict[str, object] = placements[0]
    return decision


def winner(decision: dict[str, object]) -> str | None:
    creative = decision["creative"]
    return creative["campaign_id"] if isinstance(creative, dict) else None
