"""Private tags for tests."""

from dataclasses import replace
from typing import Any

from bihuan_profile.domain.governance import DataClass, Purpose
from bihuan_profile.domain.retention import Retention
from bihuan_profile.domain.taxonomy import Tag, TagType
from bihuan_profile.profile_store.tags_in_memory import MemoryPrivateTagStore
from bihuan_profile.taxonomy_file import packaged_taxonomy
from bihuan_profile.use_cases.private_retention import PrivateRetention
from bihuan_profile.use_cases.private_tags import PrivateTags
from bihuan_shared.targeting import namespace_of


def private_tag(local: str = "vip_level", advertiser_id: str = "acme", **changes: Any) -> Tag:
    """A number of the transaction class, for targeting."""
    whole = Tag(
        name=f"{namespace_of(advertiser_id)}.{local}",
        type=TagType.NUMBER,
        data_class=DataClass.TRANSACTION,
        purposes=frozenset({Purpose.TARGETING}),
        description="Level among the best customers",
        display_names={"en": "VIP level", "zh": "贵宾等级"},
        advertiser_id=advertiser_id,
    )
    return replace(whole, **changes)


def no_private_tags(retention: Retention) -> PrivateRetention:
    """A retention where no advertiser has tags."""
    return PrivateRetention(retention, packaged_taxonomy(), PrivateTags(MemoryPrivateTagStore(), lambda: 0.0))
