"""Tells on the stream `st:{profiles:0}` whose profiles are about to be written."""

from collections.abc import Sequence
from typing import Final

from bihuan.common.v1.common_pb2 import ProfilesChanged
from bihuan_shared.group_commit import GroupCommit
from bihuan_shared.redis import RedisClient
from bihuan_shared.streams import StreamWriter

STREAM: Final = "profiles"
MAX_LEN: Final = 200_000
"""Messages kept, of at most 1,000 persons each. A reader that is further behind reads everyone again."""
_PERSONS: Final = 1_000


class ChangedPersons:
    """The writer of the stream: whatever is told while a message is on its way goes into the next one."""

    def __init__(self, client: RedisClient) -> None:
        self._writer: StreamWriter[ProfilesChanged] = StreamWriter(client, STREAM, shards=1, max_len=MAX_LEN)
        self._group: GroupCommit[int, None] = GroupCommit(self._append, max_items=_PERSONS, max_queue=100 * _PERSONS)

    async def tell(self, person_ids: Sequence[int]) -> None:
        """In the stream on return. Raises Unavailable and ResourceExhausted."""
        for start in range(0, len(person_ids), _PERSONS):
            await self._group.submit(person_ids[start : start + _PERSONS])

    async def close(self) -> None:
        """Wait for what is on its way."""
        await self._group.close()

    async def _append(self, person_ids: Sequence[int]) -> Sequence[None]:
        message = ProfilesChanged(person_ids=dict.fromkeys(person_ids))
        await self._writer.append([(0, message)])
        return [None] * len(person_ids)
