"""Receipts of erasures: what was signed verifies, offline too, and nothing else does."""

from base64 import b64encode, urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hypothesis import given
from hypothesis import strategies as st

from bihuan_identity.domain.receipts import (
    ErasureStatement,
    ReceiptKeys,
    ReceiptNotGenuineError,
    digest_keys,
    digest_request,
)
from bihuan_identity.use_cases.receipts import ErasureRecord, ReceiptVerdict, verify_receipt

OLD, NEW = bytes(range(32)), bytes(range(32, 64))
KEYS = ReceiptKeys({2: NEW, 1: OLD})
ERASED = (b"a" * 16, b"b" * 16, b"c" * 16)
STATEMENT = ErasureStatement(9, 1_700_000_000_000_000, 3, digest_keys(ERASED), digest_request("cli", "r1"))

statements = st.builds(
    ErasureStatement,
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**63),
    st.integers(0, 2**32 - 1),
    st.binary(min_size=32, max_size=32),
    st.binary(min_size=32, max_size=32),
)


@dataclass
class MemoryErasures:
    """One erasure, as the store would tell of it."""

    tombstones: tuple[bytes, ...] = ERASED
    returned: int = 0

    async def erasure(self, erasure_id: int) -> ErasureRecord | None:
        return ErasureRecord(self.tombstones, self.returned) if erasure_id == STATEMENT.erasure_id else None


@given(statements)
def test_a_receipt_is_one_fixed_text_and_verifies(statement: ErasureStatement) -> None:
    receipt = KEYS.issue(statement)
    assert receipt == KEYS.issue(statement)
    assert len(receipt) == 200
    assert KEYS.verify(receipt) == statement


@given(statements, st.integers(0, 150 * 8 - 1))
def test_a_receipt_with_any_bit_changed_does_not_verify(statement: ErasureStatement, bit: int) -> None:
    raw = bytearray(urlsafe_b64decode(KEYS.issue(statement)))
    assert len(raw) == 150
    raw[bit // 8] ^= 1 << bit % 8
    with pytest.raises(ReceiptNotGenuineError):
        KEYS.verify(urlsafe_b64encode(raw).decode())


@given(st.text(max_size=250))
def test_text_that_was_not_issued_does_not_verify(text: str) -> None:
    with pytest.raises(ReceiptNotGenuineError):
        KEYS.verify(text)


def test_a_rotated_key_goes_on_verifying_until_it_is_taken_out() -> None:
    receipt = ReceiptKeys({1: OLD}).issue(STATEMENT)
    assert KEYS.verify(receipt) == STATEMENT
    with pytest.raises(ReceiptNotGenuineError):
        ReceiptKeys({2: NEW}).verify(receipt)
    with pytest.raises(ReceiptNotGenuineError):
        ReceiptKeys({1: NEW}).verify(receipt)


def test_an_outsider_verifies_with_the_public_key_alone() -> None:
    raw = urlsafe_b64decode(KEYS.issue(STATEMENT))
    public = load_pem_public_key(KEYS.public_keys()[raw[1]].encode())
    assert isinstance(public, Ed25519PublicKey)
    public.verify(raw[-64:], b"bihuan.identity.receipt.v1\0" + raw[:-64])


def test_digests_know_no_order_of_keys_and_tell_callers_apart() -> None:
    assert digest_keys(ERASED) == digest_keys(reversed(ERASED)) != digest_keys(ERASED[1:])
    assert digest_request("a", "b") != digest_request("a\0b", "")[:31] + b"\0"
    assert digest_request("a", "bc") != digest_request("ab", "c")


def test_keys_are_read_from_one_line() -> None:
    text = f"2:{b64encode(NEW).decode()}, 1:{b64encode(OLD).decode()}"
    assert ReceiptKeys.parse(text).issue(STATEMENT) == KEYS.issue(STATEMENT)


@pytest.mark.parametrize("text", ["", "1", "x:AAAA", "256:" + b64encode(OLD).decode(), "1:AAAA", "1:!"])
def test_a_malformed_line_of_keys_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        ReceiptKeys.parse(text)


def test_a_key_id_stands_for_one_key() -> None:
    one = f"1:{b64encode(OLD).decode()}"
    with pytest.raises(ValueError):
        ReceiptKeys.parse(f"{one},{one}")


async def test_what_stayed_erased_is_vouched_for() -> None:
    verdict = await verify_receipt(KEYS, MemoryErasures(), KEYS.issue(STATEMENT))
    assert verdict == ReceiptVerdict(STATEMENT, still_erased=True)


@pytest.mark.parametrize(
    "log",
    [
        MemoryErasures(returned=1),
        MemoryErasures(tombstones=ERASED[:2]),
        MemoryErasures(tombstones=(*ERASED[:2], b"d" * 16)),
        MemoryErasures(tombstones=()),
    ],
)
async def test_what_came_back_or_lost_its_tombstones_is_not(log: MemoryErasures) -> None:
    verdict = await verify_receipt(KEYS, log, KEYS.issue(STATEMENT))
    assert verdict == ReceiptVerdict(STATEMENT, still_erased=False)


async def test_an_erasure_that_an_older_copy_of_the_store_does_not_know_is_not_vouched_for() -> None:
    unknown = ErasureStatement(10, 1, 3, STATEMENT.keys_sha256, STATEMENT.request_sha256)
    verdict = await verify_receipt(KEYS, MemoryErasures(), KEYS.issue(unknown))
    assert verdict == ReceiptVerdict(unknown, still_erased=False)


async def test_a_forged_receipt_is_not_authentic() -> None:
    forged = ReceiptKeys({2: OLD}).issue(STATEMENT)
    assert await verify_receipt(KEYS, MemoryErasures(), forged) == ReceiptVerdict(None, still_erased=False)
