"""Learning weights: what counts as a path, what is kept, who waits."""

import asyncio
from dataclasses import dataclass, field

import pytest

from bihuan_attribution.domain.channel_learning import MAX_CHANNELS, REFRESH_US, Learned, PathBag, learn
from bihuan_attribution.domain.credit.channel_weights import WHOLE_WEIGHT
from bihuan_attribution.domain.credit.credit_model import CreditModel
from bihuan_attribution.domain.credit.path_touch import PathTouch
from bihuan_attribution.domain.credit.paths import PathCount
from bihuan_attribution.domain.event import AdFacts, EventType
from bihuan_attribution.domain.order import ItemState, OrderState
from bihuan_attribution.domain.order_path import OrderPath
from bihuan_attribution.domain.touch import Touch
from bihuan_attribution.use_cases import learn_channels
from bihuan_attribution.use_cases.learn_channels import ChannelLearner
from bihuan_attribution.use_cases.order_paths import Mark, PathPage, TouchPage
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import DeadlineExceeded, ResourceExhausted, Unavailable
from bihuan_shared.rpc.deadline import deadline_scope

NOW_US = 1_700_000_000_000_000


def bought(*channels: str, person: int = 1, at_us: int = NOW_US - 10) -> OrderPath:
    order = OrderState("acme", f"o{person}", "CNY", at_us, 1, person, "", 1, items={"i": ItemState("i", 1, 5)})
    order.paid = True
    touches = tuple(
        Touch(place, EventType.CLICK, at_us - 100 + place, 0, person,
              AdFacts(f"{person}-{place}", "", name, "", "", "", "acme", 1, "cpc", 0, "CNY", ""))
        for place, name in enumerate(channels)
    )  # fmt: skip
    return OrderPath(order, touches, None)


def seen(person: int, *channels: str, at_us: int = NOW_US - 50) -> list[tuple[int, PathTouch]]:
    return [
        (person, PathTouch(at_us + place, f"s{person}-{place}", EventType.IMPRESSION, name, name))
        for place, name in enumerate(channels)
    ]


def test_orders_are_bought_paths_and_people_without_one_are_paths_that_led_nowhere() -> None:
    bag = PathBag()
    bag.add_order(bought("A", "B"))
    bag.add_order(bought(person=3))
    bag.add_people([*seen(1, "C"), *seen(2, "B", "A"), *seen(4, "B", "A")], {1})
    assert bag.counts() == [PathCount(("A", "B"), 1, 0, 5), PathCount(("B", "A"), 0, 2)]


def test_weights_of_each_model_are_whole_and_follow_what_led_to_orders() -> None:
    bag = PathBag()
    for person in range(4):
        bag.add_order(bought("A", person=person))
    bag.add_people([one for person in range(10, 20) for one in seen(person, "B")], set())
    learned = learn(bag, "acme", start_us=1, now_us=NOW_US)
    assert (learned.path_count, learned.conversion_count) == (14, 4)
    assert learned.weights == {
        model: {"A": WHOLE_WEIGHT, "B": 0} for model in (CreditModel.MARKOV, CreditModel.SHAPLEY)
    }


def test_without_an_order_there_is_nothing_to_learn() -> None:
    bag = PathBag()
    bag.add_people(seen(1, "A"), set())
    assert learn(bag, "acme", start_us=1, now_us=2).weights == {}


def test_rare_channels_are_left_out() -> None:
    bag = PathBag()
    names = [f"c{number:05}" for number in range(MAX_CHANNELS + 5)]
    for name in names:
        bag.add_order(bought(name))
    bag.add_order(bought(names[-1]))
    kept = {channel for one in bag.counts() for channel in one.channels}
    assert len(kept) == MAX_CHANNELS
    assert names[-1] in kept


@dataclass
class FakePaths:
    """Pages of one path each; `gate` holds reading back."""

    paths: list[OrderPath] = field(default_factory=list)
    people: list[tuple[int, PathTouch]] = field(default_factory=list)
    kept: list[Learned] = field(default_factory=list)
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    starts: list[int] = field(default_factory=list)
    failing: bool = False

    async def page(self, _advertiser_id: str, start_us: int, _end_us: int, mark: Mark | None) -> PathPage:
        self.starts.append(start_us)
        place = int(mark[1]) if mark is not None else 0
        mark = (self.paths[place].order.order_time_us, str(place + 1)) if place + 1 < len(self.paths) else None
        return PathPage(self.paths[place : place + 1], mark)

    async def touches(self, _advertiser_id: str, _start_us: int, mark: tuple[int, int] | None) -> TouchPage:
        await self.gate.wait()
        if self.failing:
            raise Unavailable("lost")
        place = mark[1] if mark is not None else 0
        page = self.people[place : place + 1]
        more = place + 1 < len(self.people)
        return TouchPage(page, (page[0][1].touch_time_us, place + 1) if more else None)

    async def learned(self, advertiser_id: str, now_us: int) -> Learned | None:
        held = [one for one in self.kept if one.advertiser_id == advertiser_id and one.learned_time_us <= now_us]
        return held[-1] if held else None

    async def keep(self, learned: Learned) -> None:
        self.kept.append(learned)


@pytest.fixture
def paths() -> FakePaths:
    found = FakePaths([bought("A", person=1), bought("B", person=2, at_us=NOW_US - 20)])
    found.gate.set()
    return found


async def test_what_was_learned_is_kept_and_used_for_an_hour(paths: FakePaths) -> None:
    clock = FixedClock(NOW_US)
    learner = ChannelLearner(paths, clock)
    first = await learner.of("acme")
    assert paths.kept == [first]
    clock.advance_us(REFRESH_US - 1)
    assert await learner.of("acme") is first
    assert len(paths.kept) == 1


async def test_old_weights_are_answered_while_new_ones_are_learned(paths: FakePaths) -> None:
    clock = FixedClock(NOW_US)
    learner = ChannelLearner(paths, clock)
    first = await learner.of("acme")
    clock.advance_us(REFRESH_US)
    paths.gate.clear()
    assert await learner.of("acme") is first
    assert await learner.of("acme") is first
    (running,) = learner._running.values()  # what the test waits for
    paths.gate.set()
    await running
    assert [one.learned_time_us for one in paths.kept] == [NOW_US, NOW_US + REFRESH_US]
    assert (await learner.of("acme")).learned_time_us == NOW_US + REFRESH_US


async def test_who_asks_first_waits_no_longer_than_the_deadline_and_the_work_goes_on(paths: FakePaths) -> None:
    paths.gate.clear()
    learner = ChannelLearner(paths, FixedClock(NOW_US))
    with deadline_scope(0.02), pytest.raises(DeadlineExceeded):
        await learner.of("acme")
    (running,) = learner._running.values()  # what the test waits for
    paths.gate.set()
    assert (await running) in paths.kept


async def test_too_many_that_wait_are_refused(paths: FakePaths, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learn_channels, "MAX_WAITING", 1)
    paths.gate.clear()
    learner = ChannelLearner(paths, FixedClock(NOW_US))
    with deadline_scope(0.01), pytest.raises(DeadlineExceeded):
        await learner.of("acme")
    with pytest.raises(ResourceExhausted):
        await learner.of("other")
    await learner.close()
    assert not learner._running


async def test_a_failure_is_told_to_who_waits_and_the_next_one_tries_again(paths: FakePaths) -> None:
    learner = ChannelLearner(paths, FixedClock(NOW_US))
    paths.failing = True
    with pytest.raises(Unavailable):
        await learner.of("acme")
    paths.failing = False
    assert (await learner.of("acme")).conversion_count == 2


async def test_a_busy_advertiser_is_learned_from_its_latest_touches_and_orders(
    paths: FakePaths, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(learn_channels, "MAX_TOUCHES", 2)
    paths.people = [*seen(5, "A", at_us=NOW_US - 5), *seen(6, "B", at_us=NOW_US - 15), *seen(7, "B", at_us=NOW_US - 60)]
    learned = await ChannelLearner(paths, FixedClock(NOW_US)).of("acme")
    assert (learned.start_time_us, learned.path_count) == (NOW_US - 14, 3)
    assert set(paths.starts) == {NOW_US - 14}
    paths.kept.clear()
    monkeypatch.setattr(learn_channels, "MAX_ORDERS", 1)
    learned = await ChannelLearner(paths, FixedClock(NOW_US + REFRESH_US)).of("acme")
    assert (learned.start_time_us, learned.conversion_count) == (NOW_US - 10, 1)


async def test_an_advertiser_of_nothing_leaves_no_row(paths: FakePaths) -> None:
    paths.paths = []
    assert (await ChannelLearner(paths, FixedClock(NOW_US)).of("nobody")).weights == {}
    assert paths.kept == []
