"""How partners, pseudonym keys and receipt keys are told to identity."""

import json
from base64 import b64encode

import pytest
from pydantic import ValidationError

from bihuan_identity.domain.partners import Partner
from bihuan_identity.settings import Settings

KEY, OTHER = b64encode(bytes(range(32))).decode(), b64encode(bytes(range(32, 64))).decode()
GOOD = {
    "BIHUAN_IDENTITY_PEPPERS": f"1:{KEY}",
    "BIHUAN_IDENTITY_PSEUDONYM_KEYS": f"2@2026-11-01T00:00:00Z:{OTHER},1@1970-01-01T00:00:00Z:{KEY}",
    "BIHUAN_IDENTITY_RECEIPT_KEYS": f"1:{KEY}",
}


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def read() -> Settings:
    return Settings()  # type: ignore[call-arg]  # everything comes from the environment


def test_partners_are_declared_with_what_they_may_have(monkeypatch: pytest.MonkeyPatch) -> None:
    declared = [{"name": "dsp", "may_match": True}, {"name": "gone", "revoked": True, "revoked_before_epoch": 2}]
    monkeypatch.setenv("BIHUAN_IDENTITY_PARTNERS", json.dumps(declared))
    registry = read().partner_registry()
    assert registry.find("dsp") == Partner("dsp", may_match=True)
    assert registry.find("gone") == Partner("gone", revoked=True, revoked_before_epoch=2)


def test_keys_are_read_and_never_repeated() -> None:
    settings = read()
    assert settings.pseudonym_ring().epoch_at(0) == 1
    assert list(settings.receipt_ring().public_keys()) == [1]
    assert KEY not in repr(settings)


@pytest.mark.parametrize(
    "partners",
    [
        [{"name": "dsp", "may_mach": True}],
        [{"name": "dsp", "revokd": True}],
        [{"name": "Dsp"}],
        [{"name": ""}],
        [{}],
        [{"name": "dsp"}, {"name": "dsp"}],
        [{"name": "dsp", "revoked_before_epoch": -1}],
    ],
)
def test_a_declaration_that_is_not_understood_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, partners: list[dict[str, object]]
) -> None:
    monkeypatch.setenv("BIHUAN_IDENTITY_PARTNERS", json.dumps(partners))
    with pytest.raises(ValidationError):
        read()


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("PSEUDONYM_KEYS", f"1@1970-01-01T00:00:00Z:{KEY},2@2026-11-01T00:00:00Z:{OTHER}"),
        ("PSEUDONYM_KEYS", f"1:{KEY}"),
        ("RECEIPT_KEYS", KEY),
        ("RECEIPT_KEYS", f"1:{KEY[:-4]}"),
    ],
)
def test_malformed_keys_are_refused_without_being_repeated(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(f"BIHUAN_IDENTITY_{name}", text)
    with pytest.raises(ValidationError) as refused:
        read()
    assert KEY[:8] not in str(refused.value)


@pytest.mark.parametrize("name", list(GOOD))
def test_nothing_secret_has_a_default(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.delenv(name)
    with pytest.raises(ValidationError):
        read()
