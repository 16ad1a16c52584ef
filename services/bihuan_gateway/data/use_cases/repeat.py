"""The same request gets the same answer, byte for byte, whoever asks again and whenever."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from bihuan_gateway.data.ports import Decisions, StoredDecision
from bihuan_shared.clock import Clock
from bihuan_shared.errors import AlreadyExists


@dataclass(frozen=True, slots=True)
class AnswerOnce:
    """
    Answers each (scope, request id) once.

    Repeats that arrive while the first one is being decided wait for it; across processes the database decides whose
    answer stands.
    """

    decisions: Decisions
    clock: Clock
    _under_way: dict[tuple[str, str], asyncio.Task[StoredDecision]] = field(default_factory=dict)

    async def __call__(
        self, scope: str, request_id: str, content_sha256: bytes, decide: Callable[[], Awaitable[tuple[bytes, bool]]]
    ) -> bytes:
        """
        Return the stored answer, or the one of `decide`, which says whether its answer is to be stored.

        Raises AlreadyExists (CONTENT_CONFLICT) where the request id came before with another content.
        """
        key = (scope, request_id)
        task = self._under_way.get(key)
        if task is None:
            task = asyncio.create_task(self._answer(key, content_sha256, decide))
            self._under_way[key] = task
            task.add_done_callback(lambda done: self._end(key, done))
        # Whoever goes away leaves the decision to those who wait for it too, and to its own repeat.
        answer = await asyncio.shield(task)
        if answer.content_sha256 != content_sha256:
            raise AlreadyExists("this request_id came before with another body")
        return answer.answer

    def _end(self, key: tuple[str, str], done: asyncio.Task[StoredDecision]) -> None:
        del self._under_way[key]
        if not done.cancelled():
            # Looked at, so that a failure nobody waited for is no noise.
            done.exception()

    async def _answer(
        self, key: tuple[str, str], content_sha256: bytes, decide: Callable[[], Awaitable[tuple[bytes, bool]]]
    ) -> StoredDecision:
        stored = await self.decisions.find(*key)
        if stored is not None:
            return stored
        body, completed = await decide()
        answer = StoredDecision(content_sha256, body)
        return await self.decisions.put(*key, answer, self.clock.now_us()) if completed else answer
