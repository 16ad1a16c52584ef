"""`bihuan data fetch` and `bihuan data load`."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from bihuan_cli.api import CALL_TIMEOUT_S, GatewayClient
from bihuan_cli.datasets.bandit import read_impressions
from bihuan_cli.datasets.journey import JourneyReader
from bihuan_cli.replay.bandit import replay_bandit
from bihuan_cli.replay.bounded import bounded
from bihuan_cli.replay.people import basket_events, introduce, tell
from bihuan_cli.replay.world import DAY_US, World, create_bandit, create_journey
from bihuan_cli.stack.layout import RunningStack, StateFolder
from bihuan_cli.stack.secrets import load_or_create
from bihuan_shared.errors import FailedPrecondition

EVENTS_PER_CALL = 500
CALLS_AT_ONCE = 4
BANDIT_FILE = "random/all"


def running_client(state: Path, *, timeout_s: float = CALL_TIMEOUT_S) -> tuple[GatewayClient, RunningStack]:
    """A client of the stack that runs on a state folder; raises FailedPrecondition where none does."""
    folder = StateFolder(state.resolve())
    running = RunningStack.read(folder.stack)
    if running is None:
        raise FailedPrecondition(f"no stack runs on {state}; start one with `bihuan up`")
    key = load_or_create(folder.secrets).admin_key
    return GatewayClient(running.gateway_url, key, timeout_s=timeout_s), running


class LoadMark:
    """How far a load has come: a count of items that the gateway has acknowledged, in a file that is replaced whole."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.done = int(json.loads(path.read_text())["done"]) if path.exists() else 0

    def move(self, done: int) -> None:
        """Remember that the first `done` items are in."""
        self.done = done
        self._path.parent.mkdir(parents=True, exist_ok=True)
        draft = self._path.with_suffix(".new")
        draft.write_text(json.dumps({"done": done}))
        draft.replace(self._path)


async def load_journey(state: Path, folder: Path) -> None:
    """
    Load households, campaigns and every basket of Complete Journey into a stack whose clock is in replay.

    An interrupted load goes on where it was; what was sent twice counts once.
    """
    client, running = running_client(state)
    _needs_replay(running)
    mark = LoadMark(state / "load" / "journey.json")
    reader = JourneyReader(folder)
    campaigns = reader.campaigns()
    start_us = campaigns[0].start_time_us - DAY_US
    async with client:
        await introduce(client, reader.households(), start_us)
        await create_journey(World(client, start_us), campaigns, lambda _: True)
        with load_progress() as progress:
            task = progress.add_task("Complete Journey: events", total=None, completed=mark.done)
            for group in _groups(_batches(reader, mark.done)):
                await bounded(CALLS_AT_ONCE, [tell(client, batch.events, batch.time_us) for batch in group])
                mark.move(group[-1].end)
                progress.update(task, completed=mark.done)
            progress.update(task, total=mark.done)
    reader.close()


@dataclass(frozen=True, slots=True)
class _Batch:
    """Events for one call, the time it happens at, and the count of events up to its end."""

    events: list[dict[str, object]]
    time_us: int
    end: int


def _batches(reader: JourneyReader, skip: int) -> Iterator[_Batch]:
    events: list[dict[str, object]] = []
    time_us = seen = 0
    for basket in reader.baskets():
        fresh = list(basket_events(basket, ordered=False))
        seen += len(fresh)
        if seen <= skip:
            continue
        events.extend(fresh)
        time_us = basket.time_us
        if len(events) >= EVENTS_PER_CALL:
            yield _Batch(events, time_us, seen)
            events = []
    if events:
        yield _Batch(events, time_us, seen)


def _groups(batches: Iterator[_Batch]) -> Iterator[tuple[_Batch, ...]]:
    while group := tuple(islice(batches, CALLS_AT_ONCE)):
        yield group


async def load_bandit(state: Path, folder: Path) -> None:
    """Replay Open Bandit into a stack whose clock is in replay, under the CPM and then the CPC advertiser."""
    client, running = running_client(state)
    _needs_replay(running)
    rows = list(read_impressions(folder, *BANDIT_FILE.split("/")))
    async with client:
        await create_bandit(World(client, rows[0].time_us - DAY_US))
        with load_progress() as progress:
            for model in ("cpm", "cpc"):
                task = progress.add_task(f"Open Bandit under {model.upper()}", total=len(rows))
                await replay_bandit(client, rows, model, BANDIT_FILE, partial(progress.advance, task))


def load_progress() -> Progress:
    """The progress display of a load."""
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def _needs_replay(running: RunningStack) -> None:
    if running.clock != "replay":
        raise FailedPrecondition("these sets are of 2017 and 2019: start the stack with `bihuan up --clock replay`")
