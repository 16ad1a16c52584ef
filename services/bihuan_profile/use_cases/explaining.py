"""Saying why a person is in a stage, segment or tier."""

from collections.abc import Sequence

from bihuan_profile.domain.explaining import Explanation, explain
from bihuan_profile.domain.governance import permit_by_consent
from bihuan_profile.domain.taxonomy import Taxonomy
from bihuan_profile.use_cases.knowing import Query, read_now
from bihuan_profile.use_cases.ports import ProfileStore


async def explain_profile(
    store: ProfileStore, taxonomy: Taxonomy, now_us: int, query: Query
) -> tuple[Sequence[Explanation], int]:
    """What may be told of one person, and how much may not; nothing of a person unknown. Raises Unavailable."""
    (held,) = await read_now(store, [query.person_id])
    return explain(held.record, permit_by_consent(query.purpose, query.consent), now_us, taxonomy)
