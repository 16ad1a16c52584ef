"""Terms on their way to attribution."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from bihuan_gateway.control.specs import AdvertiserSpec, Pricing
from bihuan_gateway.control.terms import AdvertiserTerms, CampaignTerms, Terms
from bihuan_gateway.control.terms_relay import TermsRelay
from bihuan_shared.errors import FailedPrecondition, InvalidArgument, Unavailable


def terms(campaign_id: str, version: int = 1) -> CampaignTerms:
    pricing = Pricing(model="cpm", bid_micros=1)
    return CampaignTerms(campaign_id, "acme", version, 0, "USD", "UTC", pricing, 0, 0, 15, 1, (), stopped=False)


@dataclass
class Outbox:
    rows: dict[str, Terms] = field(default_factory=dict)

    async def pending_terms(self, limit: int) -> list[Terms]:
        return [self.rows[name] for name in sorted(self.rows)][:limit]

    async def count_pending_terms(self) -> int:
        return len(self.rows)

    async def acknowledge_terms(self, taken: Sequence[Terms]) -> None:
        for one in taken:
            name = one.subject[1]
            if name in self.rows and self.rows[name].version <= one.version:
                del self.rows[name]


@dataclass
class Sink:
    failures: list[Exception] = field(default_factory=list)
    bad: dict[str, Exception] = field(default_factory=dict)
    taken: list[str] = field(default_factory=list)
    hang: bool = False

    async def put_terms(self, terms: Sequence[Terms]) -> None:
        if self.hang:
            await asyncio.Event().wait()
        if self.failures:
            raise self.failures.pop(0)
        names = [one.subject[1] for one in terms]
        for name in names:
            if name in self.bad:
                raise self.bad[name]
        self.taken.extend(names)


class Watch:
    def __init__(self) -> None:
        self.calls = 0
        self.called = asyncio.Event()

    async def __call__(self) -> None:
        self.calls += 1
        self.called.set()


def relay_of(outbox: Outbox, sink: Sink, watch: Watch, wait_s: float = 1.0) -> TermsRelay:
    return TermsRelay(outbox, sink, wait_s=wait_s, on_taken=watch, idle_s=0.01, first_retry_s=0.001)


async def test_one_bad_row_does_not_hold_up_the_others() -> None:
    outbox = Outbox({name: terms(name) for name in ("a", "b", "c")})
    sink, watch = Sink(bad={"b": InvalidArgument("no")}), Watch()
    assert not await relay_of(outbox, sink, watch).push()
    assert sink.taken == ["a", "c"]
    assert list(outbox.rows) == ["b"]
    assert watch.calls == 1


async def test_campaigns_wait_for_the_terms_of_their_advertiser() -> None:
    acme = AdvertiserTerms("acme", 1, 0, AdvertiserSpec(display_name="A", currency="USD"))
    # Sorted by name, as the store sorts accounts before campaigns.
    outbox = Outbox({"acme": acme, "c": terms("c")})
    sink, watch = Sink(bad={"acme": InvalidArgument("no")}), Watch()
    assert not await relay_of(outbox, sink, watch).push()
    assert sink.taken == []
    assert list(outbox.rows) == ["acme", "c"]
    sink.bad.clear()
    assert await relay_of(outbox, sink, watch).push()
    assert sink.taken == ["acme", "c"]


async def test_stale_terms_stay_unacknowledged_so_that_the_campaign_does_not_serve() -> None:
    outbox = Outbox({"a": terms("a")})
    sink, watch = Sink(bad={"a": FailedPrecondition("old", reason="STALE_TERMS")}), Watch()
    assert not await relay_of(outbox, sink, watch).push()
    assert list(outbox.rows) == ["a"]
    assert watch.calls == 0


async def test_background_retries_until_attribution_is_back() -> None:
    outbox = Outbox({"a": terms("a")})
    sink, watch = Sink(failures=[Unavailable("away")] * 3), Watch()
    running = asyncio.create_task(relay_of(outbox, sink, watch).run())
    async with asyncio.timeout(10):
        await watch.called.wait()
    running.cancel()
    assert outbox.rows == {}
    assert sink.taken == ["a"]


async def test_a_writer_waits_no_longer_than_it_was_told() -> None:
    outbox, watch = Outbox({"a": terms("a")}), Watch()
    async with asyncio.timeout(5):
        await relay_of(outbox, Sink(hang=True), watch, wait_s=0.01).push_soon()
    assert list(outbox.rows) == ["a"]


async def test_terms_changed_while_they_travel_are_sent_again() -> None:
    outbox, sink, watch = Outbox({"a": terms("a", 1)}), Sink(), Watch()
    relay = relay_of(outbox, sink, watch)

    class Racing(Sink):
        async def put_terms(self, terms_: Sequence[Terms]) -> None:
            await super().put_terms(terms_)
            outbox.rows.setdefault("a", terms("a", 2))
            outbox.rows["a"] = terms("a", 2)

    await relay_of(outbox, Racing(), watch).push()
    assert outbox.rows["a"].version == 2
    assert await relay.push()
    assert outbox.rows == {}


async def test_the_background_tells_how_many_campaigns_wait() -> None:
    outbox, sink = Outbox({"a": terms("a"), "b": terms("b")}), Sink(bad={"b": InvalidArgument("bad")})
    told: list[int] = []
    heard = asyncio.Event()

    def hear(pending: int) -> None:
        told.append(pending)
        heard.set()

    relay = TermsRelay(outbox, sink, wait_s=1.0, on_taken=Watch(), on_pending=hear, first_retry_s=0.001)
    task = asyncio.create_task(relay.run())
    await asyncio.wait_for(heard.wait(), 5)
    task.cancel()
    assert told[0] == 1
