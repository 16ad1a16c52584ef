"""Leases in Redis: reservations of several campaigns that shrink with what is billed; see `lua/lease.lua`."""

import json
from collections.abc import Sequence
from typing import Final, cast

from bihuan_attribution.budget_scripts import BudgetScripts, ScriptCall, epoch_of, prefix_of
from bihuan_attribution.domain.lease import LeaseAttempt, LeaseCall, LeaseGrant
from bihuan_attribution.domain.reserve import ReserveOutcome
from bihuan_shared.redis import RedisClient, store_errors

_KNOWN_S: Final = 3_600
_ANSWER: Final = 3


class RedisLeases:
    """The leases of all advertisers, beside their budgets; `al:<lease>` names the advertisers that one asked last."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._scripts = BudgetScripts(client)

    async def begin(self, reservation_id: str, advertisers: Sequence[str]) -> list[str]:
        """Note which advertisers a lease asks; which others it asked the last time."""
        pipeline = self._client.pipeline(transaction=False)
        pipeline.get(f"al:{reservation_id}")
        pipeline.set(f"al:{reservation_id}", json.dumps(advertisers), ex=_KNOWN_S)
        with store_errors():
            noted = cast("bytes | None", (await pipeline.execute())[0])
        return sorted(set(json.loads(noted or b"[]")) - set(advertisers))

    async def lease(self, calls: Sequence[LeaseCall]) -> list[list[LeaseGrant] | None]:
        """One list of grants a call; None where the advertiser's state has to be loaded first."""
        answers = await self._scripts.run("lease", [_script_call(call) for call in calls])
        return [None if answer is None else _grants(cast("list[bytes | int]", answer)) for answer in answers]


def _script_call(call: LeaseCall) -> ScriptCall:
    args: list[str | int] = [prefix_of(call.advertiser_id), call.now_us, call.expire_us, call.reservation_id]
    args.append(len(call.attempts))
    for one in call.attempts:
        args += [one.campaign_id, one.day, one.amount_nanos, *_limits(one)]
    return epoch_of(call.advertiser_id), args


def _limits(attempt: LeaseAttempt) -> list[str | int]:
    return ["" if one is None else one for one in (attempt.total_limit_nanos, attempt.daily_limit_nanos)]


def _grants(answer: list[bytes | int]) -> list[LeaseGrant]:
    rows = [answer[start : start + _ANSWER] for start in range(0, len(answer), _ANSWER)]
    return [LeaseGrant(ReserveOutcome(int(outcome)), int(left) + int(billed)) for outcome, left, billed in rows]
