"""Consent strings in the bodies of `/v1/decisions`, `/v1/events` and `/v1/orders`, beside or in place of names."""

from dataclasses import replace

import httpx
import msgspec
import pytest
from consent_strings import UPDATED_US, US_SECTIONS, Tc, gpp
from data_plane_fakes import FakeProfile, sighting_of
from data_plane_requests import CONSENT, COOKIE, ask, decide, winner
from data_plane_world import NOW_US, World
from prometheus_client import REGISTRY

from bihuan_gateway.data.plane import consent_reader
from bihuan_gateway.data.ports import Consent, Identifier, Resolved
from bihuan_gateway.data.routes.decisions import content_of
from bihuan_gateway.data.routes.reading import SORTED_ENCODER
from bihuan_gateway.data.settings import DataSettings
from bihuan_gateway.data.wire.decisions import DecisionRequest
from bihuan_shared.clock import FixedClock
from bihuan_shared.consent import MAX_CHARS, ConsentStrings, TcfRules
from bihuan_shared.consent.tcf_rules import LIFETIME_US

ALL = Tc().text()
WITHOUT_4 = Tc(consents={1, 2, 3, 7, 9}).text()
NATIONAL = US_SECTIONS["usnat 2"][1]
IN, OUT = gpp({7: NATIONAL.text()}), gpp({7: replace(NATIONAL, opt_outs=(1, 2, 2)).text()})
LOGIN = [{"namespace": "login", "value": "ann"}]
CLASSES = frozenset({"REGISTRATION", "OPERATION", "TRANSACTION"})
EVERY = frozenset({"TARGETING", "PERSONALISATION", "MEASUREMENT", "INSIGHT"})


@pytest.fixture
def targeted(world: World) -> World:
    """A campaign for men that beats the one for everyone, and a man."""
    world.advertise("men", bid_micros=9_000_000, targeting='gender == "m"')
    world.advertise("all")
    world.identities.persons[(Identifier("cookie", "c1"),)] = 1
    world.profiles.profiles[1] = FakeProfile({"gender": "m"})
    return world


async def shown(client: httpx.AsyncClient, consent: dict[str, object]) -> tuple[str | None, object]:
    """Return who won and what the answer says of the consent string."""
    answer = await decide(client, ask("r1", identifiers=COOKIE, consent=consent))
    placements = answer["placements"]
    assert isinstance(placements, list)
    return winner(placements[0]), answer.get("consent_refusal")


@pytest.mark.parametrize(
    ("consent", "expected"),
    [
        ({"tcf": ALL}, "men"),
        ({"tcf": WITHOUT_4}, "all"),
        ({"gpp": IN, "gpp_sid": [7]}, "men"),
        ({"gpp": IN}, "men"),
        ({"gpp": OUT, "gpp_sid": [7]}, "all"),
        ({"us_privacy": "1YNN"}, "men"),
        ({"us_privacy": "1YYN"}, "all"),
        ({"tcf": ALL, "gpp": OUT}, "all"),
        ({"tcf": ALL, **CONSENT}, "men"),
        ({"tcf": ALL, "purposes": ["TARGETING"], "data_classes": ["REGISTRATION"]}, "men"),
        ({"tcf": ALL, "purposes": ["MEASUREMENT"], "data_classes": ["REGISTRATION"]}, "all"),
        ({"tcf": WITHOUT_4, **CONSENT}, "all"),
        ({"tcf": ALL, "purposes": []}, "all"),
        ({"gpp_sid": [7]}, "all"),
    ],
)
async def test_the_person_is_targeted_where_everything_that_is_given_allows_it(
    targeted: World, client: httpx.AsyncClient, consent: dict[str, object], expected: str
) -> None:
    assert await shown(client, consent) == (expected, None)
    assert targeted.profiles.faults.calls == (1 if expected == "men" else 0)


@pytest.mark.parametrize(
    ("consent", "expected"),
    [
        ({"tcf": ""}, "TRUNCATED"),
        ({"tcf": ALL[:40]}, "TRUNCATED"),
        ({"tcf": "not a string"}, "NOT_BASE64"),
        ({"tcf": "C" * (MAX_CHARS + 1)}, "TOO_LONG"),
        ({"tcf": Tc(policy=2).text()}, "POLICY_UNKNOWN"),
        ({"tcf": Tc(updated_us=NOW_US - LIFETIME_US).text()}, "EXPIRED"),
        ({"tcf": "\U0001f36a"}, "NOT_BASE64"),
        ({"gpp": IN, "gpp_sid": [8]}, "SECTION_MISSING"),
        ({"gpp": IN, "gpp_sid": [10**9]}, "SECTION_MISSING"),
        ({"us_privacy": "1YN"}, "TRUNCATED"),
        ({"tcf": ALL[:40], **CONSENT}, "TRUNCATED"),
        ({"tcf": ALL, "us_privacy": "?"}, "UNSUPPORTED_VERSION"),
    ],
)
async def test_a_string_that_cannot_be_read_allows_nothing_and_the_answer_says_why(
    targeted: World, client: httpx.AsyncClient, consent: dict[str, object], expected: str
) -> None:
    assert await shown(client, consent) == ("all", expected)
    assert targeted.profiles.faults.calls == 0
    assert targeted.identities.faults.calls == 0


async def test_a_repeat_is_answered_as_it_was_and_another_string_is_another_body(
    targeted: World, client: httpx.AsyncClient
) -> None:
    body = ask("r1", identifiers=COOKIE, consent={"tcf": ALL})
    once = await client.post("/v1/decisions", json=body)
    targeted.clock.advance_us(2 * LIFETIME_US)
    assert (await client.post("/v1/decisions", json=body)).content == once.content
    other = await client.post("/v1/decisions", json={**body, "consent": {"tcf": ALL, "purposes": []}})
    assert other.status_code == 409


@pytest.mark.parametrize(
    "consent", [b"", b'"consent":{},', b'"consent":{"purposes":[]},', b'"consent":{"source":"","data_classes":[]},']
)
def test_bodies_without_strings_are_what_they_were_before_there_were_any(consent: bytes) -> None:
    raw = b'{"request_id":"r1",%s"placements":[{"placement_id":"home"}]}' % consent
    body = msgspec.json.decode(raw, type=DecisionRequest)
    before = SORTED_ENCODER.encode(content_of(body))
    assert b'"consent":{"purposes":[],"data_classes":[],"source":""}' in before


@pytest.mark.parametrize(
    "consent", [{"tcf": 1}, {"gpp": ["x"]}, {"gpp_sid": "7"}, {"gpp_sid": [7.5]}, {"gpp_sid": [7] * 33}, {"tcs": ALL}]
)
async def test_other_types_than_strings_are_refused_with_a_pointer(
    client: httpx.AsyncClient, consent: dict[str, object]
) -> None:
    response = await client.post("/v1/decisions", json=ask(consent=consent))
    assert response.status_code == 400
    assert response.json()["errors"][0]["pointer"].startswith("/consent/")


async def test_events_and_actions_are_taken_under_the_consent_of_their_strings(
    world: World, client: httpx.AsyncClient
) -> None:
    consents = {"full": ALL, "less": WITHOUT_4, "none": Tc(consents=()).text(), "cut": ALL[:9]}
    body: dict[str, object] = {
        "events": [
            {"event_id": name, "identifiers": LOGIN, "behaviour": "view", "consent": {"tcf": text}}
            for name, text in consents.items()
        ],
        "actions": [
            {
                "event_id": name,
                "type": "engagement",
                "advertiser_id": "acme",
                "name": "share",
                "identifiers": LOGIN,
                "consent": {"tcf": text},
            }
            for name, text in consents.items()
        ],
    }
    answer = (await client.post("/v1/events", json=body)).json()
    assert [(one["outcome"], one["reason"], one.get("consent_refusal")) for one in answer["events"]] == [
        ("accepted", None, None),
        ("accepted", None, None),
        ("rejected", "NO_CONSENT", None),
        ("rejected", "NO_CONSENT", "TRUNCATED"),
    ]
    assert [one.consent for one in world.profiles.ingested] == [
        Consent(EVERY, CLASSES, "tcf2.2"),
        Consent(EVERY - {"TARGETING", "PERSONALISATION"}, CLASSES, "tcf2.2"),
    ]
    assert [(one["outcome"], one.get("consent_refusal")) for one in answer["actions"]] == [
        ("accepted", None),
        ("accepted", None),
        ("rejected", None),
        ("rejected", "TRUNCATED"),
    ]


@pytest.mark.parametrize(
    ("consent", "person", "refusal"),
    [
        ({"tcf": ALL}, Resolved(1, sighting_of(1)), None),
        ({"tcf": Tc(consents={1, 3, 4}).text()}, Resolved(), None),
        ({"gpp": OUT}, Resolved(1, sighting_of(1)), None),
        ({"gpp": OUT[:-4]}, Resolved(), "TRUNCATED"),
    ],
)
async def test_an_order_names_its_person_where_its_string_allows_measuring(
    world: World, client: httpx.AsyncClient, consent: dict[str, object], person: Resolved, refusal: str | None
) -> None:
    order = {
        "type": "order",
        "order_id": "o1",
        "advertiser_id": "acme",
        "order_time": "2023-11-14T22:00:00Z",
        "currency": "USD",
        "items": [{"item_id": "i1", "shop_id": "s1", "quantity": 1, "paid_micros": 5_000_000}],
        "identifiers": LOGIN,
        "click_id": "c" * 32,
        "consent": consent,
    }
    answer = (await client.post("/v1/orders", json=order)).json()
    assert (answer["outcome"], answer.get("consent_refusal")) == ("accepted", refusal)
    (recorded,) = world.events.orders
    assert recorded.person == person


async def test_what_became_of_strings_is_counted_by_form(client: httpx.AsyncClient) -> None:
    def counted(form: str, outcome: str) -> float:
        labels = {"form": form, "outcome": outcome}
        return REGISTRY.get_sample_value("bihuan_consent_strings_total", labels) or 0

    names = [("tcf", "read"), ("tcf", "truncated"), ("gpp", "read"), ("us_privacy", "invalid_value")]
    before = [counted(*name) for name in names]
    await decide(client, ask("r1", consent={"tcf": ALL, "gpp": OUT, "us_privacy": "1XXX"}))
    await decide(client, ask("r2", consent={"tcf": ALL[:30]}))
    await decide(client, ask("r2", consent={"tcf": ALL[:30]}))
    await decide(client, ask("r3", consent=CONSENT))
    assert [counted(*name) - was for name, was in zip(names, before, strict=True)] == [1, 1, 1, 1]


def test_settings_say_which_vendor_we_are_and_where_purpose_one_needs_no_consent() -> None:
    assert consent_reader(DataSettings(), FixedClock(NOW_US)).rules == TcfRules()
    settings = DataSettings(consent_vendor_id=52, consent_purpose_one_countries="AA,BB")
    read = consent_reader(settings, FixedClock(UPDATED_US))
    assert read.rules == TcfRules(52, frozenset({"AA", "BB"}))
    assert read(None, ConsentStrings(tcf=ALL)).refusal == "VENDOR_NOT_ALLOWED"
    for wrong in ({"consent_vendor_id": 0}, {"consent_purpose_one_countries": "de"}):
        with pytest.raises(ValueError, match="consent"):
            DataSettings(**wrong)
