"""
`bihuan demo`: the loop closed on real data, through the public interfaces, every service a process of its own.

What is real and what is ours is said by the modules of `bihuan_cli.replay` and printed with the results.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn
from sklearn.metrics import roc_auc_score

from bihuan_cli.api import GatewayClient
from bihuan_cli.datasets.bandit import read_impressions
from bihuan_cli.datasets.journey import Campaign, JourneyReader
from bihuan_cli.models import model_signer, publish_model
from bihuan_cli.replay.bandit import BanditCounts, replay_bandit
from bihuan_cli.replay.journey import JourneyCounts, JourneyReplay, sends_by_start
from bihuan_cli.replay.people import introduce
from bihuan_cli.replay.settle import wait_for_decisions, wait_for_events
from bihuan_cli.replay.world import BANDIT_MODELS, DAY_US, World, create_bandit, create_journey
from bihuan_cli.stack.local import LocalStack
from bihuan_scoring.app import train_model

CUT_OFF = datetime(2017, 8, 15, tzinfo=UTC)
CUT_OFF_US = int(CUT_OFF.timestamp()) * 1_000_000
BANDIT_FILE = "random/all"
SEED = 20_170_815


@dataclass(frozen=True, slots=True)
class DemoRun:
    """What a run of the demonstration did; what the platform says of it is read from its reports."""

    persons: int
    journey: JourneyCounts
    bandit: dict[str, BanditCounts]
    model_version: str
    cv_auc: float
    auc: float
    pairs: int
    positives: int
    duration_s: float


async def run_demo(
    stack: LocalStack, journey_folder: Path, bandit_folder: Path, console: Console, progress: Progress
) -> DemoRun:
    """Replay both sets into a stack and answer what was done. A second run on the same state changes nothing."""
    started_s = time.monotonic()
    reader = JourneyReader(journey_folder)
    async with GatewayClient(stack.running.gateway_url, stack.secrets.admin_key) as client:
        campaigns = reader.campaigns()
        persons = await _prepare(client, reader, campaigns, progress)
        replay, version, cv_auc = await _journey(stack, client, reader, campaigns, progress)
        bandit = await _bandit(client, bandit_folder, progress)
        await wait_for_events(client)
    auc, pairs, positives = _served_auc(reader, campaigns, replay.counts)
    reader.close()
    console.print(f"model {version} scored {pairs} later sends")
    return DemoRun(
        persons=persons,
        journey=replay.counts,
        bandit=bandit,
        model_version=version,
        cv_auc=cv_auc,
        auc=auc,
        pairs=pairs,
        positives=positives,
        duration_s=time.monotonic() - started_s,
    )


async def _prepare(
    client: GatewayClient, reader: JourneyReader, campaigns: Sequence[Campaign], progress: Progress
) -> int:
    start_us = campaigns[0].start_time_us - DAY_US
    households = reader.households()
    task = progress.add_task("households become persons", total=len(households))
    persons = await introduce(client, households, start_us)
    progress.update(task, completed=persons)
    task = progress.add_task("campaigns, audiences, placements", total=2)
    world = World(client, start_us)
    await create_journey(world, campaigns, _serves)
    progress.advance(task)
    await create_bandit(world)
    progress.advance(task)
    return persons


async def _journey(
    stack: LocalStack,
    client: GatewayClient,
    reader: JourneyReader,
    campaigns: Sequence[Campaign],
    progress: Progress,
) -> tuple[JourneyReplay, str, float]:
    early = [campaign for campaign in campaigns if is_early(campaign)]
    later = [campaign for campaign in campaigns if is_later(campaign)]
    sends = sum(len(campaign.household_ids) for campaign in (*early, *later))
    task = progress.add_task("Complete Journey: sends", total=sends)
    replay = JourneyReplay(client, reader)
    await _send_all(replay, early, progress, task)
    await replay.pass_time(CUT_OFF_US)
    await wait_for_events(client)
    await wait_for_decisions(stack.folder.lake, replay.counts.decisions)
    training = progress.add_task("training the response model", total=1)
    model = await asyncio.to_thread(
        train_model,
        str(stack.folder.lake),
        stack.folder.models,
        cut_off_time_us=CUT_OFF_US,
        seed=SEED,
        signer=model_signer(stack.folder.root),
    )
    await publish_model(stack.folder.root, model.version)
    progress.advance(training)
    await _send_all(replay, later, progress, task)
    while (end_us := replay.last_time_us()) > 1:
        await replay.pass_time(end_us)
    await replay.pass_time(campaigns[-1].start_time_us + 30 * DAY_US)
    return replay, model.version, float(model.metrics["cv_auc"])


async def _send_all(replay: JourneyReplay, campaigns: Sequence[Campaign], progress: Progress, task: TaskID) -> None:
    for start_us, group in sends_by_start(campaigns):
        await replay.pass_time(start_us)
        await replay.send(group, start_us)
        progress.update(task, completed=replay.counts.decisions)


async def _bandit(client: GatewayClient, folder: Path, progress: Progress) -> dict[str, BanditCounts]:
    rows = list(read_impressions(folder, *BANDIT_FILE.split("/")))
    counts: dict[str, BanditCounts] = {}
    for model in BANDIT_MODELS:
        task = progress.add_task(f"Open Bandit under {model.upper()}", total=len(rows))
        counts[model] = await replay_bandit(client, rows, model, BANDIT_FILE, _step(progress, task))
    return counts


def _step(progress: Progress, task: TaskID) -> Callable[[], None]:
    return lambda: progress.advance(task)


def is_early(campaign: Campaign) -> bool:
    """Ended before the cut-off: its outcomes train the model."""
    return campaign.end_time_us < CUT_OFF_US


def is_later(campaign: Campaign) -> bool:
    """Starts on or after the cut-off: the model is judged on it."""
    return campaign.start_time_us >= CUT_OFF_US


def _serves(campaign: Campaign) -> bool:
    # A campaign that spans the cut-off belongs to neither side.
    return is_early(campaign) or is_later(campaign)


def _served_auc(reader: JourneyReader, campaigns: Sequence[Campaign], counts: JourneyCounts) -> tuple[float, int, int]:
    """
    ROC AUC of the served click probability over every (household, later campaign) pair, winners or not.

    The score of a pair is the first one that was served for it, which is on the day the campaign starts.
    """
    redeemed = {(redemption.household_id, redemption.campaign_id) for redemption in reader.redemptions()}
    pairs = [
        (household_id, campaign.campaign_id)
        for campaign in campaigns
        if is_later(campaign)
        for household_id in campaign.household_ids
    ]
    scored = [pair for pair in pairs if pair in counts.scores]
    labels = [pair in redeemed for pair in scored]
    return float(roc_auc_score(labels, [counts.scores[pair] for pair in scored])), len(scored), sum(labels)


def demo_progress() -> Progress:
    """The progress display of a run."""
    return Progress(TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
