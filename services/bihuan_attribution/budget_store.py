"""
Budgets, balances and frequency caps in Redis: a cache of what SQL knows, plus reservations.

Everything of one advertiser lies under the hash tag of `at:{<advertiser>}:`, so each step is one script on one node.
`epoch` exists while the state is complete; `b` and `b:<day>` hold money (`x` left, `l` limit, `s` spent), `c:*` count
impressions of a person, `r:*` are reservations, `x` orders them by their end. `ar:<reservation>` names the advertisers
that a reservation may be found with.
"""

import json
from collections import defaultdict
from collections.abc import Sequence
from importlib.resources import files
from typing import Final, cast

from redis.exceptions import NoScriptError

from bihuan_attribution.domain.reserve import BudgetState, Call, Counted, Held, Reply, ReserveOutcome, Reset, Settled
from bihuan_attribution.event_log_store import chunks
from bihuan_shared.redis import RedisClient, is_alive, store_errors

_COUNTERS_A_CALL: Final = 500
_SHARED: Final = "reservation"
_BEGUN_S: Final = 3_600
_Call = tuple[str, list[str | int]]


class RedisBudgets:
    """The budgets of all advertisers."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        shared = _script(_SHARED)
        self._scripts = {name: shared + _script(name) for name in ("reserve", "settle", "release", "load", "recount")}
        self._digests: dict[str, str] = {}

    async def reserve(self, calls: Sequence[Call]) -> list[Reply | None]:
        """One reply a call; None where the advertiser's state has to be loaded first."""
        answers = await self._run("reserve", [_reserve_call(call) for call in calls])
        return [None if answer is None else _reply(answer) for answer in answers]

    async def begin(self, reservations: Sequence[tuple[str, Sequence[str]]]) -> list[list[Held]]:
        """Note which advertisers each reservation will ask; what it holds already from an earlier time."""
        pipeline = self._client.pipeline(transaction=False)
        for name, advertisers in reservations:
            pipeline.get(f"ar:{name}")
            pipeline.set(f"ar:{name}", json.dumps(advertisers), ex=_BEGUN_S)
        with store_errors():
            noted = cast("list[bytes | None]", await pipeline.execute())[::2]
            asked = [
                (index, name, advertiser_id)
                for index, (name, _) in enumerate(reservations)
                for advertiser_id in json.loads(noted[index] or b"[]")
            ]
            return await self._held(asked, len(reservations))

    async def _held(self, asked: Sequence[tuple[int, str, str]], count: int) -> list[list[Held]]:
        found: list[list[Held]] = [[] for _ in range(count)]
        if asked:
            pipeline = self._client.pipeline(transaction=False)
            for _, name, advertiser_id in asked:
                pipeline.hmget(f"{_prefix(advertiser_id)}r:{name}", ["h", "k", "a"])
            answers = cast("list[list[bytes | None]]", await pipeline.execute())
            for (index, _, advertiser_id), (campaign_id, creative_id, amount) in zip(asked, answers, strict=True):
                if campaign_id and creative_id is not None:
                    held = Held(advertiser_id, campaign_id.decode(), creative_id.decode(), int(amount or 0))
                    found[index].append(held)
        return found

    async def release(self, reservations: Sequence[tuple[str, str]]) -> None:
        """End reservations, each named by (advertiser, reservation id), before their time."""
        await self._run("release", [(_epoch(one), [_prefix(one), name]) for one, name in reservations])

    async def settle(self, state: BudgetState, events: Sequence[Settled]) -> bool:
        """End reservations and replace spent sums; False where the advertiser's state has to be loaded first."""
        args: list[str | int] = [_prefix(state.advertiser_id), state.version, len(events)]
        for event in events:
            args += [event.reservation_id, event.campaign_id, event.token_id, event.position]
            args += [int(event.counts_slots), int(event.ends_money), event.person_id, len(event.slots)]
            for slot in event.slots:
                args += [slot.bucket, slot.entity, slot.garbage_s]
        args.append(len(state.spent))
        for one in state.spent:
            args += [one.day, one.name, one.nanos]
        (answer,) = await self._run("settle", [(_epoch(state.advertiser_id), args)])
        return answer == 1

    async def load(self, state: BudgetState) -> None:
        """Rebuild an advertiser's state; what another process has loaded meanwhile stays."""
        prefix, epoch = _prefix(state.advertiser_id), _epoch(state.advertiser_id)
        calls: list[_Call] = []
        for chunk in chunks(state.counted, _COUNTERS_A_CALL):
            args: list[str | int] = [prefix, "", len(chunk)]
            for one in chunk:
                args += [one.person_id, one.bucket, one.entity, one.count, one.garbage_s]
            calls.append((epoch, args))
        calls.append((epoch, [prefix, state.position, 0]))
        await self._run("load", calls)
        await self.settle(state, ())

    async def recount(self, advertiser_id: str, resets: Sequence[Reset], counted: Sequence[Counted]) -> None:
        """Bring the counters of some persons to what is counted for them; those of `resets` may fall too."""
        prefix, epoch = _prefix(advertiser_id), _epoch(advertiser_id)
        by_person: dict[int, tuple[list[str | int], list[str | int]]] = defaultdict(lambda: ([], []))
        for reset in resets:
            by_person[reset.person_id][0].extend((reset.person_id, reset.bucket, reset.garbage_s))
        for one in counted:
            row = (one.person_id, one.bucket, one.entity, one.count, one.garbage_s)
            by_person[one.person_id][1].extend(row)
        calls: list[_Call] = []
        for down, up in by_person.values():
            calls.append((epoch, [prefix, len(down) // 3, *down, len(up) // 5, *up]))
        await self._run("recount", calls)

    async def forget(self, advertiser_id: str) -> None:
        """Declare an advertiser's state incomplete, so that its next use loads it again."""
        with store_errors():
            await self._client.delete(_epoch(advertiser_id))

    async def alive(self) -> bool:
        """Whether the store answers."""
        return await is_alive(self._client)

    async def _run(self, script: str, calls: Sequence[_Call]) -> list[object]:
        """Run one script for several advertisers in one round trip."""
        if not calls:
            return []
        with store_errors():
            if script not in self._digests:
                self._digests[script] = await self._load_script(script)
            answers = await self._pipeline(script, calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                self._digests[script] = await self._load_script(script)
                lost = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                again = await self._pipeline(script, [calls[index] for index in lost])
                for index, answer in zip(lost, again, strict=True):
                    answers[index] = answer
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _load_script(self, script: str) -> str:
        digest = await self._client.script_load(self._scripts[script])
        return str(digest)

    async def _pipeline(self, script: str, calls: Sequence[_Call]) -> list[object]:
        pipeline = self._client.pipeline(transaction=False)
        for epoch, args in calls:
            pipeline.execute_command("EVALSHA", self._digests[script], 1, epoch, *args)
        return cast("list[object]", await pipeline.execute(raise_on_error=False))


def _script(name: str) -> str:
    return files("bihuan_attribution").joinpath("lua", f"{name}.lua").read_text()


def _prefix(advertiser_id: str) -> str:
    return f"at:{{{advertiser_id}}}:"


def _epoch(advertiser_id: str) -> str:
    return f"at:{{{advertiser_id}}}:epoch"


def _reserve_call(call: Call) -> _Call:
    args: list[str | int] = [_prefix(call.advertiser_id), call.now_us, call.expire_us, call.reservation_id]
    args += [int(call.validate_only), call.person_id, len(call.attempts)]
    for one in call.attempts:
        total = "" if one.total_limit_nanos is None else one.total_limit_nanos
        daily = "" if one.daily_limit_nanos is None else one.daily_limit_nanos
        args += [one.campaign_id, one.creative_id, one.day, one.amount_nanos, total, daily, len(one.slots)]
        for slot in one.slots:
            args += [slot.bucket, slot.entity, slot.max_impressions, slot.garbage_s]
    return _epoch(call.advertiser_id), args


def _reply(answer: object) -> Reply:
    expire, *outcomes = cast("list[bytes | int]", answer)
    return Reply(tuple(ReserveOutcome(int(one)) for one in outcomes), int(expire or 0))
