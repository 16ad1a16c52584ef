"""
The hash chain of the ledger: each entry's hash covers the one before, so a changed row breaks all after it.

Covered is everything that an entry says, and no person: what is erased later is referred to, never contained.
"""

from hashlib import sha256
from typing import Final

import msgspec

from bihuan_attribution.domain.ledger import Entry

GENESIS: Final = bytes(32)
"""What stands for the hash before the first entry."""
_encoder: Final = msgspec.msgpack.Encoder()


def entry_hash(
    before: bytes, entry_id: int, entry: Entry, corrects_entry_id: int, book_time_us: int, booked: tuple[str, bool]
) -> bytes:
    """
    SHA-256 over the hash before and the entry in MessagePack, postings by account; 32 bytes.

    `booked` is the period that it is booked in, and whether as an adjustment.
    """
    content = (
        entry_id,
        entry.kind,
        entry.cause_type,
        entry.cause_id,
        entry.advertiser_id,
        entry.campaign_id,
        entry.currency,
        entry.entry_time_us,
        entry.decision_id,
        entry.order_id,
        entry.position,
        entry.pricing_model,
        corrects_entry_id,
        book_time_us,
        booked[0],
        int(booked[1]),
        sorted((posting.account, posting.amount_nanos) for posting in entry.postings),
    )
    return sha256(before + _encoder.encode(content)).digest()
