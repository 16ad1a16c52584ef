"""Private tags for tests."""

from dataclasses import replace
from typing import Any

from bihuan_profile.domain.governance import DataClass, Purpose
from bihuan_profile.domain.taxonomy import Tag, TagType
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
