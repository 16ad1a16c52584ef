"""Checking a receipt: that it was issued here, and that what it names has stayed erased."""

from dataclasses import dataclass
from typing import Protocol

from bihuan_identity.domain.receipts import ErasureStatement, ReceiptKeys, ReceiptNotGenuineError, digest_keys


@dataclass(frozen=True, slots=True)
class ErasureRecord:
    """
    What the store holds of an erasure: the keys that it left tombstones of, and how many of them are known again as
    identifiers, under whichever pepper; there should be none.
    """

    tombstones: tuple[bytes, ...]
    returned_count: int


class ErasureLog(Protocol):
    """The erasures that were carried out. Raises Unavailable where the store does not answer."""

    async def erasure(self, erasure_id: int) -> ErasureRecord | None:
        """Return what is held of an erasure; None where there is none such."""


@dataclass(frozen=True, slots=True)
class ReceiptVerdict:
    """`statement` is None where the receipt was not issued here or was changed; `still_erased` is False then."""

    statement: ErasureStatement | None
    still_erased: bool


async def verify_receipt(keys: ReceiptKeys, log: ErasureLog, receipt: str) -> ReceiptVerdict:
    """
    Check a receipt.

    Where the erasure or its tombstones are not there, as after an older copy of the database was restored, nobody can
    vouch for it and `still_erased` is False. Raises Unavailable.
    """
    try:
        statement = keys.verify(receipt)
    except ReceiptNotGenuineError:
        return ReceiptVerdict(None, still_erased=False)
    record = await log.erasure(statement.erasure_id)
    still_erased = (
        record is not None
        and record.returned_count == 0
        and len(record.tombstones) == statement.identifier_count
        and digest_keys(record.tombstones) == statement.keys_sha256
    )
    return ReceiptVerdict(statement, still_erased)
