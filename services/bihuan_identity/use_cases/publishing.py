"""Publishing changes of persons: from the log to the stream, in order, each once."""

from bihuan_identity.use_cases.ports import ChangeStream, GraphStore
from bihuan_shared.failpoints import failpoint

_PAGE = 500


async def publish_changes(store: GraphStore, stream: ChangeStream) -> int:
    """
    Publish what was committed and is not on the stream yet; returns how many changes.

    Several processes may do so at once, and one may end in the middle: the stream itself says how far it goes.
    Raises Unavailable.
    """
    published = 0
    while True:
        page = await store.changes_after(await stream.last_change_id(), _PAGE)
        if page:
            failpoint("before_publish")
            await stream.publish(page)
            published += len(page)
        if len(page) < _PAGE:
            return published
