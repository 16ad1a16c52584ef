"""What the books rest on goes to the lake once, and the comparison reads it there: from a folder, from a bucket."""

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
import pytest

from bihuan_attribution.billing_store import SqlBilling
from bihuan_attribution.book_rows_store import SqlBookRows
from bihuan_attribution.domain.accounts import AdvertiserTerms, PlacementTerms
from bihuan_attribution.domain.event import EventType
from bihuan_attribution.domain.findings import Finding
from bihuan_attribution.domain.invalid_traffic import TrafficLimits
from bihuan_attribution.event_sinks import LakeSink
from bihuan_attribution.finding_store import SqlFindings
from bihuan_attribution.reconcile import auditor as auditing
from bihuan_attribution.reconcile.auditor import LakeAuditor
from bihuan_attribution.reconcile.fold import Cut, Fold, Interrupted
from bihuan_attribution.use_cases.feed_books import BookFeed
from bihuan_attribution.use_cases.pass_on import LakeFeed
from bihuan_attribution.use_cases.ports import TermsBatch
from bihuan_shared.clock import DAY_US, HOUR_US
from bihuan_shared.errors import Unavailable
from bihuan_shared.lake import open_lake
from tests.contract.attribution.test_persons import merge

if TYPE_CHECKING:
    from bihuan_attribution.domain.terms import CampaignTerms
    from tests.contract.attribution.conftest import World

EACH = ["accounts", "events", "operations", "persons", "placements", "refusals", "terms", "traffic_limits"]


async def everything(world: "World") -> None:
    """Something of every dataset, with a click that waits for its impression and is refused when that comes."""
    await world.terms.put(TermsBatch([], [AdvertiserTerms("acme", 1, 0, "CNY", "Asia/Shanghai", 3, None)]))
    await world.terms.put(TermsBatch(placements=[PlacementTerms("pl", 1, 0, "pub", 300_000, "")]))
    await world.ledger.deposit("acme", "d1", "CNY", 1_000, 1)
    cpc = (await world.terms.since(0))[1][1]
    late, soon = world.token("late", cpc, price=3), world.token("soon", cpc, price=2)
    await world.record(world.beacon("click", late), world.beacon("impression", soon), world.beacon("click", soon))
    await world.bill()
    await world.persons.follow(merge(1, 7, 9))
    await world.record(world.beacon("impression", late), world.order("e1"))
    await world.bill()


def files(world: "World") -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in sorted(world.lake_folder.rglob("*.parquet")):
        found.setdefault(path.relative_to(world.lake_folder).parts[0], []).append(path.name)
    return found


async def test_each_row_is_written_once_under_the_numbers_of_its_range(world: "World") -> None:
    await everything(world)
    await world.drain()
    first = files(world)
    assert sorted(first) == EACH
    assert first["refusals"] == ["0000000000000001-0000000000000005.parquet"]
    await world.ledger.deposit("acme", "d2", "CNY", 7, 1)
    await world.drain()
    await world.drain()
    numbered = ["0000000000000001-0000000000000001.parquet", "0000000000000002-0000000000000002.parquet"]
    assert files(world) == first | {"operations": numbered}
    (refusals,) = world.lake_folder.glob("refusals/**/*.parquet")
    (refused,) = pq.ParquetFile(refusals).read().to_pylist()
    assert (refused["position"], refused["noted_position"], refused["reason"]) == (1, 5, "over_balance")
    await world.reconcile()


async def test_range_that_was_not_finished_is_written_again_under_the_same_name(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    await everything(world)

    async def refuse(*_: object) -> None:
        raise Unavailable("died after the file was written")

    with monkeypatch.context() as patched:
        patched.setattr(SqlBookRows, "done", refuse)
        with pytest.raises(Unavailable):
            await world.books_feed.step()
    (dataset,) = files(world)
    before = files(world)[dataset]
    await world.terms.put(TermsBatch([replace((await world.terms.since(0))[1][0], version=2, daily_micros=5)]))
    await asyncio.gather(world.drain(), world.drain())
    assert files(world)[dataset][:1] == before
    await world.reconcile()


async def test_bucket_and_folder_say_the_same(world: "World", bucket_url: str) -> None:
    await everything(world)
    in_folder = await world.reconcile()
    lake = open_lake(bucket_url)
    for dataset in EACH:
        for path in world.lake_folder.glob(f"{dataset}/**/*.parquet"):
            await lake.write(dataset, path.stem, pq.ParquetFile(path).read(), time_us=0)
    auditor = LakeAuditor(world.database, lake)
    assert replace(await auditor.reconcile(), consumers=in_folder.consumers) == in_folder
    await auditor.close()


async def test_feeds_write_to_a_bucket(world: "World", bucket_url: str) -> None:
    world.lake = open_lake(bucket_url)
    world.books_feed = BookFeed(SqlBookRows(world.database, world.lake))
    world.events_feed = LakeFeed(world.log, LakeSink(world.lake))
    await everything(world)
    await world.reconcile()
    assert all(world.lake.list(dataset) for dataset in EACH)


async def test_lake_that_stays_behind_the_books_is_waited_for_in_vain(
    world: "World", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(auditing, "PATIENCE_S", 0.1)
    await everything(world)
    await world.books_feed.step()
    nudges: list[int] = []
    auditor = LakeAuditor(world.database, world.lake, lambda: nudges.append(1))
    with pytest.raises(Unavailable, match="lake at 0 of 5"):
        await auditor.reconcile()
    assert nudges
    await auditor.close()


async def test_lake_that_comes_up_meanwhile_is_compared_where_billing_was(world: "World") -> None:
    await everything(world)

    async def go_on() -> None:
        await world.record(world.order("later", "o9"))
        await world.bill()
        await world.drain()

    started: list[asyncio.Task[None]] = []

    def nudge() -> None:
        if not started:
            started.append(asyncio.create_task(go_on()))

    auditor = LakeAuditor(world.database, world.lake, nudge)
    found = await auditor.reconcile()
    await started[0]
    assert (found.compared_position, sum(one.difference_nanos for one in found.currencies)) == (5, 0)
    assert found.billed_count + sum(count for _, count in found.unbilled) == 5
    await auditor.close()


async def test_lake_that_cannot_be_read_is_unavailable(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    await everything(world)
    await world.drain()
    (path,) = world.lake_folder.glob("events/**/*.parquet")
    path.write_bytes(b"PAR1 no more")
    with pytest.raises(Unavailable):
        await world.audit()
    listed = world.lake.list("events")
    path.unlink()
    monkeypatch.setattr(type(world.lake), "list", lambda _, dataset: listed if dataset == "events" else [])
    with pytest.raises(Unavailable):
        await world.audit()


async def test_call_that_runs_out_of_time_ends_its_fold(world: "World", monkeypatch: pytest.MonkeyPatch) -> None:
    await everything(world)
    await world.drain()
    forever = "SELECT count(*) FROM range(1000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3"
    monkeypatch.setattr(Fold, "_measure", lambda _, connection: connection.execute(forever).fetchone())
    ended: list[BaseException] = []
    run = Fold.run

    def watched(fold: Fold) -> object:
        try:
            return run(fold)
        except Interrupted as error:
            ended.append(error)
            raise

    monkeypatch.setattr(Fold, "run", watched)
    auditor = LakeAuditor(world.database, world.lake)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1.0):
            await auditor.reconcile()
    await auditor.close()
    assert len(ended) == 1


async def test_fold_that_was_stopped_before_it_ran_does_nothing(world: "World") -> None:
    fold = Fold(world.lake, Cut(0, 0))
    fold.interrupt()
    with pytest.raises(Interrupted):
        await asyncio.to_thread(fold.run)


async def test_limits_that_were_changed_within_an_hour_hold_from_the_position_on(world: "World") -> None:
    cpc = (await world.terms.since(0))[1][1]

    async def clicked(name: str, seconds: int, limits: TrafficLimits) -> None:
        token = world.token(name, cpc, price=1 + seconds)
        at_us = world.clock.now_us() - HOUR_US + seconds * 1_000_000
        world.billing = SqlBilling(world.database, world.clock, limits)
        await world.record(*(world.beacon(kind, token, at_us) for kind in ("impression", "click")))
        await world.bill()

    two, one = TrafficLimits(0, 2, 0, 0), TrafficLimits(0, 1, 0, 0)
    await clicked("a", 10, two)
    await clicked("b", 20, two)
    await clicked("c", 5, one)
    await clicked("d", 30, two)
    await clicked("e", 40, TrafficLimits(0, 0, 0, 0))
    found = await world.reconcile()
    # The third click put out the second one, as the first place beyond one; the fourth found room again.
    assert dict(found.unbilled)["ivt_repeated_click"] > 0
    assert await world.charged() > 0


async def test_terms_count_from_when_they_came_whatever_time_they_name(world: "World", cps: "CampaignTerms") -> None:
    new = replace(cps, campaign_id="new", effective_time_us=world.clock.now_us() - 30 * DAY_US)
    early, plain = world.token("early", new, person=0), world.token("plain", cps, person=0)
    await world.record(world.beacon("impression", early), world.beacon("click", early))
    await world.record(world.beacon("impression", plain), world.beacon("click", plain))
    await world.record(world.order("e1", "o1", click_id="early", person=0))
    await world.record(world.order("e2", "o2", click_id="plain", person=0))
    await world.bill()
    await world.terms.put(TermsBatch([new, replace(cps, version=2, commission_rate_ppm=900_000)]))
    await world.record(world.refund("r1", 1, "o1"), world.refund("r2", 1, "o2"))
    await world.record(world.order("e3", "o3", click_id="early", person=0))
    await world.bill()
    found = await world.reconcile()
    assert dict(found.unbilled)["unmatched"] == 2
    # One at the rate of then, and one at that of the campaign that was not known before.
    assert await world.charged() == 2 * 10_000_000_000 - 100


async def test_click_of_an_impression_that_was_given_back_takes_no_place_of_another(world: "World") -> None:
    cpm, cpc = (await world.terms.since(0))[1][:2]
    world.billing = SqlBilling(world.database, world.clock, TrafficLimits(0, 0, 1, 0))
    shown, clicked = world.token("shown", cpm), world.token("clicked", cpc, price=5)
    await world.record(world.beacon("impression", shown), world.beacon("impression", clicked))
    await world.bill()
    finding = Finding("f1", "farm", ((EventType.IMPRESSION, "shown"), (EventType.CLICK, "clicked")))
    done = await SqlFindings(world.database).credit(finding, world.clock.now_us())
    assert (done.unknown_count, len(done.credits)) == (1, 1)
    early_us = world.clock.now_us() - 1_000_000
    await world.record(world.beacon("click", shown, early_us), world.beacon("click", clicked))
    await world.bill()
    found = dict((await world.reconcile()).unbilled)
    assert (found["ivt_late_farm"], found["ivt_invalid_impression"]) == (1, 1)
    assert await world.charged() == 5_000
    # The same event can be found out again, by then with effect.
    again = replace(finding, finding_id="f2")
    assert len((await SqlFindings(world.database).credit(again, world.clock.now_us())).credits) == 1
    assert await world.charged() == 0
