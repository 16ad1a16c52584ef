"""What goes by itself: lapsed ties, identifiers of retired peppers, and namespaces that were given up."""

from bihuan_identity.domain.undoing import plan_forget, plan_lapse, plan_revoke
from bihuan_identity.use_cases.committing import Graph, commit

PAGE = 500
"""How much one transaction looks at; others wait for it."""


async def lapse(graph: Graph, after: int, time_s: int) -> tuple[int | None, int]:
    """
    Strip the lapsed ties of the next page of evidence above the id `after`.

    Returns where to go on (None at the end) and how many pieces lost members. Raises Unavailable.
    """
    return await commit(
        graph, lambda view: plan_lapse(view, after, PAGE, graph.rules, time_s=time_s, epoch=graph.epoch)
    )


async def retire(graph: Graph, after: bytes, before_epoch: int, time_s: int) -> tuple[bytes | None, int]:
    """
    Forget those identifiers of the next page above the key `after` that were last seen before an epoch of peppers.

    Returns where to go on (None at the end) and how many were forgotten. Raises Unavailable.
    """
    return await commit(
        graph,
        lambda view: plan_forget(
            view, after, PAGE, lambda node: node.epoch < before_epoch, graph.rules, time_s=time_s, epoch=graph.epoch
        ),
    )


async def revoke_namespace(graph: Graph, namespace: str, time_s: int, *, max_pages: int = 20) -> tuple[int, bool]:
    """
    Give up a namespace: from the first call on no identifier of it is created, and what is known of it is forgotten,
    up to `max_pages` pages a call.

    Returns how many identifiers this call removed, and whether none is left. Raises Unavailable.
    """
    removed = 0
    for _ in range(max_pages):
        done, count = await commit(
            graph,
            lambda view: plan_revoke(view, namespace, PAGE, graph.rules, time_s=time_s, epoch=graph.epoch),
        )
        removed += count
        if done:
            return removed, True
    return removed, False
