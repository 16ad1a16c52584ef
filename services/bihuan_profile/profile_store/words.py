"""What is written short in a stored record. Each list only ever grows at its end: numbers in it are on disk."""

from typing import Final

NAMES: Final = (
    "age", "birth_year", "gender", "income", "home_ownership", "marital_status", "household_size",
    "household_comp", "kids_count", "region", "language", "newsletter", "device_type", "visit_channel", "app_user",
    "price_band", "loyalty_tier", "preferred_size", "average_order", "influence_tier", "country", "city",
    "urbanisation", "property_type", "education", "employment_status", "occupation", "industry", "life_stage",
    "sign_up_year", "sign_up_channel", "push_allowed", "operating_system", "browser", "device_price_band",
    "connection_type", "active_daypart", "active_weekpart", "visits_30d", "content_language", "membership",
    "last_campaign_source", "support_contacted", "payment_method", "delivery_method", "coupon_user", "discount_share",
    "return_rate", "gift_buyer", "subscriber", "favourite_brand", "favourite_category", "community",
)  # fmt: skip
"""Attributes that stand as their number."""

PREFIXES: Final = ("", "category:", "brand:", "coupon:", "topic:", "product:", "shop:")
"""Beginnings of tags that stand as one control character; the empty one leaves alone what begins with such."""

_NUMBERS: Final = {name: number for number, name in enumerate(NAMES)}
_FIRST_PRINTABLE: Final = " "
_STARTS: Final = {prefix.partition(":")[0]: chr(number) for number, prefix in enumerate(PREFIXES) if prefix}


def short_name(name: str) -> str | int:
    """How an attribute's name is stored."""
    return _NUMBERS.get(name, name)


def full_name(stored: str | int) -> str:
    """The name that was stored; IndexError for a number that is not known."""
    return stored if isinstance(stored, str) else NAMES[stored]


def short_tag(tag: str) -> str:
    """How a tag is stored."""
    if tag < _FIRST_PRINTABLE:
        return "\0" + tag
    start, colon, rest = tag.partition(":")
    sign = _STARTS.get(start) if colon else None
    return tag if sign is None else sign + rest


def full_tag(stored: str) -> str:
    """The tag that was stored; IndexError for a sign that is not known."""
    if stored < _FIRST_PRINTABLE:
        return PREFIXES[ord(stored[0])] + stored[1:] if stored else stored
    return stored
