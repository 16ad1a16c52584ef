"""Signing webhooks, and verifying them as the documentation tells receivers to."""

import hashlib
import hmac

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_gateway.control.webhook_signature import WebhookSecrets, signature

OLD, NEW = "old-" + "o" * 32, "new-" + "n" * 32
NOW = 1_700_000_000
BODY = b'{"lead_id":"lead-1"}'


def verify(secret: str, header: str, body: bytes, now_s: float, tolerance_s: float = 300) -> bool:
    """What docs/api.md shows."""
    parts = [part.partition("=")[::2] for part in header.split(",")]
    timestamp = next((value for name, value in parts if name == "t"), "")
    if not timestamp.isdigit() or abs(now_s - int(timestamp)) > tolerance_s:
        return False
    expected = hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return any(hmac.compare_digest(expected, value) for name, value in parts if name == "v1")


def test_a_receiver_can_verify_what_was_sent() -> None:
    (secret,) = WebhookSecrets.parse(NEW).of("acme")
    header = signature([secret], NOW, BODY)
    assert header.startswith(f"t={NOW},v1=")
    assert verify(secret, header, BODY, NOW + 299)


@pytest.mark.parametrize("change", ["body", "time", "late", "secret", "signature", "nothing"])
def test_whatever_is_changed_does_not_verify(change: str) -> None:
    (secret,) = WebhookSecrets.parse(NEW).of("acme")
    header = signature([secret], NOW, BODY)
    body, now = (BODY + b" " if change == "body" else BODY), (NOW + 301 if change == "late" else NOW)
    if change == "time":
        header = header.replace(str(NOW), str(NOW + 1))
    if change == "signature":
        header = header[:-1] + ("0" if header[-1] != "0" else "1")
    if change == "nothing":
        header = f"t={NOW}"
    assert not verify(WebhookSecrets.parse(OLD).of("acme")[0] if change == "secret" else secret, header, body, now)


def test_while_secrets_are_replaced_either_verifies() -> None:
    both = WebhookSecrets.parse(f"{NEW}, {OLD}").of("acme")
    header = signature(both, NOW, BODY)
    (before,), (after,) = WebhookSecrets.parse(OLD).of("acme"), WebhookSecrets.parse(NEW).of("acme")
    assert both == (after, before)
    assert verify(before, header, BODY, NOW)
    assert verify(after, header, BODY, NOW)


def test_every_advertiser_has_a_secret_of_its_own_and_it_does_not_show_the_gateways() -> None:
    secrets = WebhookSecrets.parse(NEW)
    assert secrets.of("acme") != secrets.of("brew")
    assert secrets.of("acme")[0].startswith("whsec_")
    assert NEW not in repr(secrets)
    assert NEW not in secrets.of("acme")[0]


def test_a_short_secret_is_refused_and_none_signs_nothing() -> None:
    with pytest.raises(ValueError, match="32"):
        WebhookSecrets.parse(f"{NEW},short")
    assert WebhookSecrets.parse(" ").of("acme") == ()


@given(body=st.binary(max_size=200), now=st.integers(0, 2**40))
def test_any_body_verifies_at_its_time(body: bytes, now: int) -> None:
    (secret,) = WebhookSecrets.parse(NEW).of("acme")
    assert verify(secret, signature([secret], now, body), body, now)
