"""Runs the scripts of `lua/` in Redis: one call an advertiser, many calls a round trip."""

from collections.abc import Sequence
from importlib.resources import files
from typing import Final, cast

from redis.exceptions import NoScriptError

from bihuan_shared.redis import RedisClient, store_errors

_SHARED: Final = "reservation"
ScriptCall = tuple[str, list[str | int]]
"""The one key of a call, which is `epoch_of` its advertiser, and its arguments."""


class BudgetScripts:
    """Scripts by name, sent once and then called by their digest."""

    def __init__(self, client: RedisClient) -> None:
        self._client = client
        self._digests: dict[str, str] = {}

    async def run(self, script: str, calls: Sequence[ScriptCall]) -> list[object]:
        """Run one script for several advertisers in one round trip; one answer a call. Raises Unavailable."""
        if not calls:
            return []
        with store_errors():
            if script not in self._digests:
                self._digests[script] = await self._load(script)
            answers = await self._pipeline(script, calls)
            if any(isinstance(answer, NoScriptError) for answer in answers):
                self._digests[script] = await self._load(script)
                lost = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
                again = await self._pipeline(script, [calls[index] for index in lost])
                for index, answer in zip(lost, again, strict=True):
                    answers[index] = answer
            for answer in answers:
                if isinstance(answer, Exception):
                    raise answer
        return answers

    async def _load(self, script: str) -> str:
        digest = await self._client.script_load(_text(_SHARED) + _text(script))
        return str(digest)

    async def _pipeline(self, script: str, calls: Sequence[ScriptCall]) -> list[object]:
        pipeline = self._client.pipeline(transaction=False)
        for epoch, args in calls:
            pipeline.execute_command("EVALSHA", self._digests[script], 1, epoch, *args)
        return cast("list[object]", await pipeline.execute(raise_on_error=False))


def prefix_of(advertiser_id: str) -> str:
    """How every key of an advertiser begins; the braces keep them on one node of a cluster."""
    return f"at:{{{advertiser_id}}}:"


def epoch_of(advertiser_id: str) -> str:
    """The key that exists while an advertiser's state is complete."""
    return f"at:{{{advertiser_id}}}:epoch"


def _text(name: str) -> str:
    return files("bihuan_attribution").joinpath("lua", f"{name}.lua").read_text()
