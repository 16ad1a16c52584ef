"""How fast `bihuan profile load` takes a file in: the command as a process of its own, on a whole local stack."""

import asyncio
import csv
import json
import sys
import time
from pathlib import Path

import numpy as np
from profile_population import BEHAVIOURS, CATEGORIES, SHARES, visitor

from bihuan_cli.stack.local import local_stack
from bihuan_shared.clock import DAY_US, format_rfc3339

COLUMNS = (
    "namespace", "identifier", "event_id", "behaviour", "event_time", "tags", "currency", "amount_micros",
    "consent_purposes", "consent_data_classes", "consent_source",
)  # fmt: skip


def write_events(path: Path, count: int, persons: int, seed: int) -> None:
    """A CSV of `count` events of the last 300 days, in the order of time, of `persons` people."""
    chance = np.random.default_rng(seed)
    ages_us = np.sort(chance.integers(0, 300 * DAY_US, count))[::-1].tolist()
    people, kinds = chance.integers(persons, size=count).tolist(), chance.choice(len(BEHAVIOURS), count, p=SHARES)
    topics = chance.integers(len(CATEGORIES), size=count).tolist()
    now_us = time.time_ns() // 1_000_000 * 1_000
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for number in range(count):
            behaviour = BEHAVIOURS[kinds[number]]
            who = visitor(people[number])
            money = ("EUR", 19_900_000) if behaviour == "order" else ("", "")
            at = format_rfc3339(now_us - ages_us[number])
            what = (f"load-{number}", behaviour, at, f"category:{CATEGORIES[topics[number]]}", *money)
            agreed = ("targeting|measurement", "operation|transaction", "crm")
            writer.writerow((who["namespace"], who["value"], *what, *agreed))


async def load_rate(state: Path, rows: int, persons: int, seed: int) -> float:
    """Rows a second, of people whom nobody has seen before; everything has to be accepted."""
    file = state.with_name(f"{state.name}.csv")
    write_events(file, rows, persons, seed)
    async with local_stack(state, clock="system", say=lambda _: None):
        words = ("-m", "bihuan_cli", "profile", "load", str(file), "--state", str(state), "--json")
        process = await asyncio.create_subprocess_exec(
            sys.executable, *words, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        output, _ = await process.communicate()
    done = json.loads(output)
    assert done["accepted"] == rows, done
    return float(done["rows_per_s"])
