"""
Every send of Complete Journey as a logged decision: the profile as the product would have held it then, and outcomes.

Behaviour goes in time order through the rules of the profile service itself (`fold`, `Survey`, `release`) and comes out
as the bytes that a decision record holds; nothing that happens at or after a send is in its profile. A redemption
stands in for the click. What is ours, and the same as in the demonstration: the instant of the impression and of the
click, and that every send is an impression.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from operator import attrgetter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from bihuan_cli.datasets.journey import Campaign, JourneyReader, Redemption
from bihuan_cli.replay.journey import IMPRESSION_AFTER_US
from bihuan_cli.replay.outcomes import click_time_us
from bihuan_cli.replay.people import basket_events
from bihuan_cli.replay.world import CURRENCY, journey_advertiser, journey_name
from bihuan_profile.domain.behaviour import Amount, Behaviour, Event
from bihuan_profile.domain.governance import DataClass, Permit, Purpose
from bihuan_profile.domain.lifetime import RECENT_SHARE
from bihuan_profile.domain.population import Population
from bihuan_profile.domain.record import EMPTY, Fact, Record, fold, with_facts
from bihuan_profile.domain.view import release
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.surveying import Survey
from bihuan_profile.wire import profile_message

PERMIT = Permit(Purpose.TARGETING, frozenset({DataClass.REGISTRATION, DataClass.OPERATION, DataClass.TRANSACTION}))
_BEHAVIOURS = {"order": Behaviour.ORDER, "coupon": Behaviour.COUPON}


@dataclass(frozen=True, slots=True)
class Send:
    """A household and a campaign that was really sent to it, with what was known and what became of it."""

    household_id: int
    campaign: Campaign
    profile: bytes
    click_time_us: int | None

    @property
    def decision_id(self) -> str:
        """As the replay names it."""
        return f"journey:{self.campaign.campaign_id}:{self.household_id}"


def journey_sends(reader: JourneyReader) -> list[Send]:
    """All 6,589 sends, by campaign start, campaign and household."""
    campaigns = reader.campaigns()
    redemptions = {(one.household_id, one.campaign_id): one for one in reader.redemptions()}
    households = _Households(reader, campaigns, redemptions)
    sends: list[Send] = []
    for campaign in campaigns:
        population = households.until(campaign.start_time_us)
        for household_id in campaign.household_ids:
            redemption = redemptions.get((household_id, campaign.campaign_id))
            clicked_us = None if redemption is None else click_time_us(redemption)
            profile = households.profile(household_id, campaign.start_time_us, population)
            sends.append(Send(household_id, campaign, profile, clicked_us))
    return sends


class _Households:
    """Records of all households, moved on in time."""

    def __init__(
        self, reader: JourneyReader, campaigns: Sequence[Campaign], redemptions: dict[tuple[int, int], Redemption]
    ) -> None:
        # What a household told is known from the start, as in the demonstration.
        self._records: dict[int, Record] = {
            one.household_id: with_facts(
                EMPTY, [(name, Fact(value, campaigns[0].start_time_us)) for name, value in one.demographics.items()]
            )[0]
            for one in reader.households()
        }
        events = [*_bought(reader), *_advertised(campaigns, redemptions)]
        self._events = sorted(events, key=attrgetter("time_us", "key"))
        self._next = 0

    def until(self, time_us: int) -> Population | None:
        """Take in what happened before `time_us`; the population as of then, None where nobody has ordered."""
        waiting: dict[int, list[Event]] = {}
        while self._next < len(self._events) and self._events[self._next].time_us < time_us:
            event = self._events[self._next]
            waiting.setdefault(event.person_id, []).append(event)
            self._next += 1
        for person_id, events in waiting.items():
            self._records[person_id] = fold(self._records[person_id], events)
        survey = Survey(time_us)
        survey.add(list(self._records.items()))
        population = survey.population(RECENT_SHARE)
        return population if population.persons else None

    def profile(self, household_id: int, time_us: int, population: Population | None) -> bytes:
        """What a decision at `time_us` is served, serialized."""
        view = release(self._records[household_id], PERMIT, time_us, packaged_taxonomy(), population)
        return profile_message(household_id, view).SerializeToString(deterministic=True)


def _bought(reader: JourneyReader) -> Iterator[Event]:
    for basket in reader.baskets():
        for told in basket_events(basket, ordered=False):
            behaviour, tags = _BEHAVIOURS[str(told["behaviour"])], told["tags"]
            assert isinstance(tags, list)
            event = Event(basket.household_id, str(told["event_id"]), behaviour, basket.time_us, tuple(tags))
            paid = Amount(CURRENCY, basket.paid_micros)
            yield replace(event, amount=paid) if behaviour is Behaviour.ORDER else event


def _advertised(campaigns: Sequence[Campaign], redemptions: dict[tuple[int, int], Redemption]) -> Iterator[Event]:
    for campaign in campaigns:
        shown_us = campaign.start_time_us + IMPRESSION_AFTER_US
        for household_id in campaign.household_ids:
            name = f"{campaign.campaign_id}:{household_id}"
            yield Event(household_id, f"impression:{name}", Behaviour.IMPRESSION, shown_us)
            redemption = redemptions.get((household_id, campaign.campaign_id))
            if redemption is not None:
                yield Event(household_id, f"click:{name}", Behaviour.CLICK, click_time_us(redemption))


def write_lake(root: Path, sends: Sequence[Send]) -> None:
    """Decision records and events of sends, as the gateway and attribution write them."""
    _write(root / "decisions", [_decision(send) for send in sends])
    _write(root / "events", [event for send in sends for event in _events(send)])


def _decision(send: Send) -> dict[str, object]:
    campaign, name = send.campaign, journey_name(send.campaign.campaign_id)
    tags = [f"{space}:{kind}" for kind in campaign.product_types for space in ("category", "coupon")]
    candidate = {"creative_id": name, "campaign_id": name, "advertiser_id": journey_advertiser(campaign), "tags": tags}
    return {
        "decision_id": send.decision_id,
        "request_time_us": campaign.start_time_us,
        "person_id": send.household_id,
        "profile": send.profile,
        "placement_id": "journey-mail",
        "channel": "email",
        "traffic_source": "e-commerce",
        "keywords": [],
        "candidates": [candidate | {"pctr": 0.01, "pcvr": 0.02, "ecpm_micros": 0}],
        "winner_creative_id": name,
        "propensity": 1.0,
        "model_version": "prior",
    }


def _events(send: Send) -> Iterator[dict[str, object]]:
    times = {"impression": send.campaign.start_time_us + IMPRESSION_AFTER_US, "click": send.click_time_us}
    for kind, time_us in times.items():
        if time_us is not None:
            yield {
                "event_type": kind,
                "event_id": f"{kind}:{send.decision_id}",
                "token_id": send.decision_id,
                "decision_id": send.decision_id,
                "campaign_id": journey_name(send.campaign.campaign_id),
                "click_id": "",
                "person_id": send.household_id,
                "event_time_us": time_us,
            }


def _write(folder: Path, rows: Sequence[dict[str, object]]) -> None:
    day = datetime.fromtimestamp(0, UTC).date()
    target = folder / f"date={day}"
    target.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), target / "sends.parquet")
