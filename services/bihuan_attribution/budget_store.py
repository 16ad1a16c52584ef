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
from typing import Final, cast

from bihuan_attribution.budget_scripts import BudgetScripts, ScriptCall, epoch_of, prefix_of
from bihuan_attribution.domain.reserve import BudgetState, Call, Counted, Held, Reply, ReserveOutcome, Reset, Settled
from bihuan_attribution.event_log_store import chunks
from bihuan_shared.redis import RedisClient, is_alive, store_errors

_COUNTERS_A_CALL: Final = 500
_BEGUN_S: Final = 3_600


class RedisBudgets:
    """The budgets of all advertisers."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._scripts = BudgetScripts(client)

    async def reserve(self, calls: Sequence[Call]) -> list[Reply | None]:
        """One reply a call; None where the advertiser's state has to be loaded first."""
        answers = await self._scripts.run("reserve", [_reserve_call(call) for call in calls])
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
                pipeline.hmget(f"{prefix_of(advertiser_id)}r:{name}", ["h", "k", "a"])
            answers = cast("list[list[bytes | None]]", await pipeline.execute())
            for (index, _, advertiser_id), (campaign_id, creative_id, amount) in zip(asked, answers, strict=True):
                if campaign_id and creative_id is not None:
                    held = Held(advertiser_id, campaign_id.decode(), creative_id.decode(), int(amount or 0))
                    found[index].append(held)
        return found

    async def release(self, reservations: Sequence[tuple[str, str]]) -> None:
        """End reservations, each named by (advertiser, reservation id), before their time."""
        await self._scripts.run("release", [(epoch_of(one), [prefix_of(one), name]) for one, name in reservations])

    async def settle(self, state: BudgetState, events: Sequence[Settled]) -> bool:
        """End reservations and replace spent sums; False where the advertiser's state has to be loaded first."""
        args: list[str | int] = [prefix_of(state.advertiser_id), state.version, len(events)]
        for event in events:
            of_lease = event.lease_part
            name, part = (of_lease.reservation_id, of_lease.nanos) if of_lease else (event.reservation_id, "")
            args += [name, part, event.campaign_id, event.token_id, event.position]
            args += [int(event.counts_slots), int(event.ends_money), event.person_id, len(event.slots)]
            for slot in event.slots:
                args += [slot.bucket, slot.entity, slot.garbage_s]
        args.append(len(state.spent))
        for one in state.spent:
            args += [one.day, one.name, one.nanos]
        (answer,) = await self._scripts.run("settle", [(epoch_of(state.advertiser_id), args)])
        return answer == 1

    async def load(self, state: BudgetState) -> None:
        """Rebuild an advertiser's state; what another process has loaded meanwhile stays."""
        prefix, epoch = prefix_of(state.advertiser_id), epoch_of(state.advertiser_id)
        calls: list[ScriptCall] = []
        for chunk in chunks(state.counted, _COUNTERS_A_CALL):
            args: list[str | int] = [prefix, "", len(chunk)]
            for one in chunk:
                args += [one.person_id, one.bucket, one.entity, one.count, one.garbage_s]
            calls.append((epoch, args))
        calls.append((epoch, [prefix, state.position, 0]))
        await self._scripts.run("load", calls)
        await self.settle(state, ())

    async def recount(self, advertiser_id: str, resets: Sequence[Reset], counted: Sequence[Counted]) -> None:
        """Bring the counters of some persons to what is counted for them; those of `resets` may fall too."""
        prefix, epoch = prefix_of(advertiser_id), epoch_of(advertiser_id)
        by_person: dict[int, tuple[list[str | int], list[str | int]]] = defaultdict(lambda: ([], []))
        for reset in resets:
            by_person[reset.person_id][0].extend((reset.person_id, reset.bucket, reset.garbage_s))
        for one in counted:
            row = (one.person_id, one.bucket, one.entity, one.count, one.garbage_s)
            by_person[one.person_id][1].extend(row)
        calls: list[ScriptCall] = []
        for down, up in by_person.values():
            calls.append((epoch, [prefix, len(down) // 3, *down, len(up) // 5, *up]))
        await self._scripts.run("recount", calls)

    async def forget(self, advertiser_id: str) -> None:
        """Declare an advertiser's state incomplete, so that its next use loads it again."""
        with store_errors():
            await self._client.delete(epoch_of(advertiser_id))

    async def alive(self) -> bool:
        """Whether the store answers."""
        return await is_alive(self._client)


def _reserve_call(call: Call) -> ScriptCall:
    args: list[str | int] = [prefix_of(call.advertiser_id), call.now_us, call.expire_us, call.reservation_id]
    args += [int(call.validate_only), call.person_id, len(call.attempts)]
    for one in call.attempts:
        total = "" if one.total_limit_nanos is None else one.total_limit_nanos
        daily = "" if one.daily_limit_nanos is None else one.daily_limit_nanos
        args += [one.campaign_id, one.creative_id, one.day, one.amount_nanos, total, daily, len(one.slots)]
        for slot in one.slots:
            args += [slot.bucket, slot.entity, slot.max_impressions, slot.garbage_s]
    return epoch_of(call.advertiser_id), args


def _reply(answer: object) -> Reply:
    expire, *outcomes = cast("list[bytes | int]", answer)
    return Reply(tuple(ReserveOutcome(int(one)) for one in outcomes), int(expire or 0))
