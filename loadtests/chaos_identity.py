"""
Kill identity at random failpoints in merges and splits, and see that the persons are what the evidence says.

A seeded sequence of links, unlinks, sightings, erasures and revocations goes to a real server on SQLite and Valkey,
which dies at random places and is started again; what was not answered is asked again. At checkpoints four partitions
are compared: connected components over the acknowledged evidence, computed anew; what the server answers through its
index; what a second server answers from the database alone; and what a reader of the published changes arrives at.
Run it with `make chaos-identity`; it writes `.bihuan/chaos/identity.json` and ends with 1 where they differ.
"""

import argparse
import asyncio
import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path

import figures
from identity_process import IdentityForks, IdentityProcess, identity_environment
from identity_reference import Identifier, Reference, differences
from identity_storm import Server, Storm, wire
from rich.console import Console
from rich.progress import Progress

from bihuan.common.v1.common_pb2 import PersonsChanged
from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_shared.embedded import EmbeddedValkey
from bihuan_shared.person_stream import SHARD, STREAM, change_of
from bihuan_shared.redis import RedisClient, open_redis
from bihuan_shared.streams import history

KILLS_A_CHECKPOINT = 20
SETTLE_S = 15.0
BATCH = 1_000


class Follower:
    """A service that keeps something under every sighting, and knows of persons only what is published."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self.position = 0
        self.gaps = 0
        self.person_of: dict[int, int] = {}

    async def read(self) -> None:
        """Follow what was published since."""
        async for messages in history(self._client, STREAM, SHARD, PersonsChanged):
            for message in messages:
                if message.change_id > self.position:
                    self.gaps += message.change_id != self.position + 1
                    self._follow(message)

    def _follow(self, message: PersonsChanged) -> None:
        change = change_of(message)
        self.position = change.change_id
        for sighting, person_id in list(self.person_of.items()):
            if person_id not in change.before_ids:
                continue
            if not change.parts:
                del self.person_of[sighting]
            elif change.survivor_id:
                self.person_of[sighting] = change.survivor_id
            else:
                self.person_of[sighting] = change.owners.get(sighting, person_id)


class Checkpoint:
    """Compares the partitions, and counts what differs."""

    def __init__(self, forks: IdentityForks, state: Path, database: Path, redis: RedisClient) -> None:
        self._forks = forks
        self._state = state
        self._database = database
        self._follower = Follower(redis)
        self.mismatches: Counter[str] = Counter()
        self.taken = 0

    async def take(self, server: Server, reference: Reference) -> None:
        """Compare now; nothing else happens meanwhile."""
        self.taken += 1
        expected = reference.partition()
        asked = sorted({*reference.known, *reference.gone})
        server.armed = False
        await server.end_life()
        indexed = await _resolve(server.call, asked)
        environment = identity_environment(self._state, f"sqlite:///{self._database}", None)
        alone = await IdentityProcess.start(self._forks, environment, self._state / "alone.log")
        stored = await _resolve(lambda method, request: alone.call(getattr(alone.stub, method), request), asked)
        await alone.stop()
        self.mismatches["index"] += differences(expected, {who: person for who, (person, _) in indexed.items()})
        self.mismatches["database"] += differences(expected, {who: person for who, (person, _) in stored.items()})
        self.mismatches["ids"] += sum(stored[who] != found for who, found in indexed.items() if who in stored)
        await self._compare_published(stored)
        server.armed = True
        await server.end_life()

    async def _compare_published(self, stored: Mapping[Identifier, tuple[int, int]]) -> None:
        newest = self._newest_change()
        deadline_s = time.monotonic() + SETTLE_S
        await self._follower.read()
        while self._follower.position < newest and time.monotonic() < deadline_s:
            await asyncio.sleep(0.05)
            await self._follower.read()
        self.mismatches["unpublished"] += newest - self._follower.position
        self.mismatches["gaps"] = self._follower.gaps
        kept = self._follower.person_of
        self.mismatches["published"] += sum(
            kept.get(sighting, person_id) != person_id for person_id, sighting in stored.values()
        )
        kept.update({sighting: person_id for person_id, sighting in stored.values()})

    def _newest_change(self) -> int:
        with sqlite3.connect(f"file:{self._database}?mode=ro", uri=True) as connection:
            (newest,) = connection.execute("SELECT max(change_id) FROM changes").fetchone()
        connection.close()
        return int(newest or 0)


Call = Callable[[str, object], Awaitable[pb.BatchResolveResponse]]


async def _resolve(call: Call, identifiers: Sequence[Identifier]) -> dict[Identifier, tuple[int, int]]:
    """Person and sighting of every identifier that somebody is known by."""
    found: dict[Identifier, tuple[int, int]] = {}
    for batch in _batches(identifiers):
        items = [pb.ResolveItem(identifiers=wire([identifier])) for identifier in batch]
        answer = await call("BatchResolve", pb.BatchResolveRequest(items=items))
        for identifier, result in zip(batch, answer.results, strict=True):
            if result.person_id:
                found[identifier] = result.person_id, result.sighting_id
    return found


def _batches(identifiers: Sequence[Identifier]) -> Iterator[Sequence[Identifier]]:
    return (identifiers[start : start + BATCH] for start in range(0, len(identifiers), BATCH))


async def run(kills: int, seed: int, state: Path) -> dict[str, object]:
    """Go on until the server has died `kills` times."""
    started_s = time.monotonic()
    valkey = EmbeddedValkey.start(state / "valkey")
    forks = IdentityForks()
    redis = await open_redis(valkey.url)
    database = state / "identity.db"
    environment = identity_environment(state, f"sqlite:///{database}", valkey.url)
    dice = random.Random(seed)
    log = state / "identity.log"
    server = Server(forks, environment, log, random.Random(seed + 1))
    storm = Storm(server, Reference(), dice)
    checkpoint = Checkpoint(forks, state, database, redis)
    with Progress(console=Console(stderr=True)) as progress:
        task = progress.add_task("kills", total=kills)
        while server.kills < kills or not checkpoint.taken:
            await storm.step()
            progress.update(task, completed=server.kills)
            if server.kills >= (checkpoint.taken + 1) * KILLS_A_CHECKPOINT:
                await checkpoint.take(server, storm.reference)
        await checkpoint.take(server, storm.reference)
    await server.end_life()
    await redis.aclose()
    forks.close()
    valkey.stop()
    died_at = Counter(line.removeprefix("failpoint ") for line in log.read_text().splitlines() if "failpoint " in line)
    return {
        "kills": server.kills,
        "mismatches": sum(checkpoint.mismatches.values()) + len(storm.surprises),
        "mismatches_by_kind": {**checkpoint.mismatches, "answers": len(storm.surprises)},
        "surprises": storm.surprises[:10],
        "requests": sum(storm.operations.values()),
        "operations": dict(storm.operations),
        "outcomes": dict(storm.outcomes),
        "killed_at": dict(died_at),
        "checkpoints": checkpoint.taken,
        "identifiers": len(storm.reference.known),
        "quarantined": len(storm.reference.quarantined()),
        "erased": len(storm.reference.gone),
        "seed": seed,
        "machine": figures.machine(),
        "commit": figures.commit(),
        "duration_s": round(time.monotonic() - started_s, 1),
    }


def main() -> int:
    """Run, print, write the figures; 1 where the partitions differ."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().splitlines()[0])
    parser.add_argument("--kills", type=int, default=1_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--out", type=Path, default=Path(".bihuan/chaos/identity.json"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bihuan-chaos-") as state:
        found = asyncio.run(run(options.kills, options.seed, Path(state)))
    figures.write(options.out, found)
    return int(found["mismatches"] != 0)


if __name__ == "__main__":
    sys.exit(main())
