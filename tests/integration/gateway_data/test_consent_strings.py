"""A consent string that comes in by HTTP decides what the services behind the gateway are asked."""

from typing import TYPE_CHECKING

from consent_strings import EVERY_PURPOSE, Tc

from bihuan.common.v1 import common_pb2

if TYPE_CHECKING:
    from tests.integration.gateway_data.conftest import Plane


def ask(request_id: str, tcf: str) -> dict[str, object]:
    return {
        "request_id": request_id,
        "placements": [{"placement_id": "home"}],
        "identifiers": [{"namespace": "cookie", "value": "c1"}],
        "consent": {"tcf": tcf},
    }


async def test_a_tc_string_without_purpose_4_gets_no_targeting(plane: "Plane") -> None:
    plane.world.advertise("women", bid_micros=9_000_000, targeting='gender == "f"')
    plane.world.advertise("all")
    shown = {}
    for name, consents in (("all", EVERY_PURPOSE), ("without-4", EVERY_PURPOSE - {4})):
        answer = (await plane.client.post("/v1/decisions", json=ask(name, Tc(consents=consents).text()))).json()
        assert "consent_refusal" not in answer
        shown[name] = answer["placements"][0]["creative"]["campaign_id"]
    assert shown == {"all": "women", "without-4": "all"}
    assert plane.backend.services.batches["BatchGetProfiles"] == [1]


async def test_behaviour_reaches_profile_with_the_consent_of_its_string(plane: "Plane") -> None:
    event = {"event_id": "e1", "identifiers": [{"namespace": "cookie", "value": "c1"}], "behaviour": "view"}
    body = {"events": [{**event, "consent": {"tcf": Tc(consents={7, 9}).text()}}]}
    answer = await plane.client.post("/v1/events", json=body)
    assert answer.json()["events"] == [{"event_id": "e1", "outcome": "accepted", "reason": None}]
    (behaviour,) = plane.backend.services.behaviours
    assert behaviour.consent == common_pb2.Consent(
        purposes=[common_pb2.PURPOSE_INSIGHT, common_pb2.PURPOSE_MEASUREMENT],
        data_classes=[
            common_pb2.DATA_CLASS_OPERATION, common_pb2.DATA_CLASS_REGISTRATION, common_pb2.DATA_CLASS_TRANSACTION,
        ],
        source="tcf2.2",
    )  # fmt: skip
