"""The rebuild of the index, on stores in memory."""

from collections.abc import Mapping

import pytest

from bihuan_identity.domain.graph import CERTAIN_PPM, Attachment
from bihuan_identity.rebuild import Rebuilt, rebuild
from bihuan_shared.errors import Unavailable

TRUTH = {at.to_bytes(16, "big"): Attachment(at // 3 + 1, CERTAIN_PPM) for at in range(1, 26)}


class Pages:
    def __init__(self) -> None:
        self.largest = 0

    async def attachments_after(self, key: bytes, limit: int) -> Mapping[bytes, Attachment]:
        keys = [known for known in sorted(TRUTH) if known > key][:limit]
        self.largest = max(self.largest, len(keys))
        return {known: TRUTH[known] for known in keys}


class Index:
    def __init__(self, entries: Mapping[bytes, Attachment], fail_after: int = 99) -> None:
        self.entries = dict(entries)
        self._left = fail_after

    async def fill(self, entries: Mapping[bytes, Attachment]) -> int:
        if self._left == 0:
            raise Unavailable("lost")
        self._left -= 1
        missing = entries.keys() - self.entries.keys()
        self.entries = {**entries, **self.entries}
        return len(missing)


@pytest.mark.parametrize("page", [1, 7, 25, 100])
async def test_every_identifier_is_indexed_in_bounded_pages(page: int) -> None:
    source, index = Pages(), Index({})
    done = await rebuild(source, index, page=page)
    assert index.entries == TRUTH
    assert done == Rebuilt(max(TRUTH), 25, 25)
    assert source.largest <= page


async def test_what_a_server_has_written_stands() -> None:
    newer = {key: Attachment(99, 1) for key in list(TRUTH)[3:9]}
    index = Index(newer)
    done = await rebuild(Pages(), index, page=4)
    assert index.entries == TRUTH | newer
    assert done.added_count == 25 - len(newer)


async def test_interrupted_rebuild_goes_on_where_it_was() -> None:
    index = Index({}, fail_after=3)
    told: list[Rebuilt] = []
    with pytest.raises(ExceptionGroup) as caught:
        await rebuild(Pages(), index, page=4, on_page=told.append)
    assert caught.group_contains(Unavailable)
    assert len(index.entries) == 12
    again = Index(index.entries)
    done = await rebuild(Pages(), again, after_key=told[-1].position, page=4)
    assert again.entries == TRUTH
    assert done.read_count == 13


async def test_empty_database_is_rebuilt_at_once() -> None:
    assert await rebuild(Pages(), Index({}), after_key=max(TRUTH)) == Rebuilt(max(TRUTH))
