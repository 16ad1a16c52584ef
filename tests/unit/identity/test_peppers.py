"""How peppers are told to identity."""

import base64

import pytest
from pydantic import SecretStr, ValidationError

from bihuan_identity.domain.keys import Pepper, parse_peppers
from bihuan_identity.settings import Settings

A, B = bytes(range(32)), bytes(range(32, 64))
TEXT_A, TEXT_B = (base64.b64encode(secret).decode() for secret in (A, B))


@pytest.fixture(autouse=True)
def _other_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIHUAN_IDENTITY_PSEUDONYM_KEYS", f"1@1970-01-01T00:00:00Z:{TEXT_A}")
    monkeypatch.setenv("BIHUAN_IDENTITY_RECEIPT_KEYS", f"1:{TEXT_A}")


def test_the_current_pepper_stands_first() -> None:
    settings = Settings(peppers=SecretStr(f"2:{TEXT_B},1:{TEXT_A}"))  # type: ignore[call-arg]  # the rest comes from the environment
    assert settings.pepper_epochs() == (Pepper(2, B), Pepper(1, A))


def test_one_pepper_is_enough() -> None:
    assert parse_peppers(f"255:{TEXT_A}") == (Pepper(255, A),)


@pytest.mark.parametrize(
    "text",
    [
        "",
        TEXT_A,
        f":{TEXT_A}",
        f"0:{TEXT_A}",
        f"01:{TEXT_A}",
        f"256:{TEXT_A}",
        f"1000:{TEXT_A}",
        f"-1:{TEXT_A}",
        f"a:{TEXT_A}",
        f"\u0661:{TEXT_A}",
        "1:",
        f"1:{TEXT_A[:-4]}",
        f"1:{TEXT_A}{TEXT_A}",
        f"1:!{TEXT_A}",
        f"1: {TEXT_A}",
        f"1:{TEXT_A},",
        f"1:{TEXT_A},2:{TEXT_B}",
        f"2:{TEXT_A},2:{TEXT_B}",
        f"2:{TEXT_A},1:{TEXT_A}",
        f"3:{TEXT_A},2:{TEXT_B},1:{TEXT_A}",
    ],
)
def test_malformed_peppers_are_refused_without_being_repeated(text: str) -> None:
    with pytest.raises(ValidationError) as refusal:
        Settings(peppers=SecretStr(text))  # type: ignore[call-arg]  # as above
    assert "peppers" in str(refusal.value)
    assert TEXT_A[:8] not in str(refusal.value)


def test_the_environment_is_read_and_never_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BIHUAN_IDENTITY_PEPPERS", f"7:{TEXT_A}")
    settings = Settings()  # type: ignore[call-arg]  # the peppers come from the environment
    assert settings.pepper_epochs() == (Pepper(7, A),)
    assert TEXT_A not in repr(settings)
    monkeypatch.setenv("BIHUAN_IDENTITY_PEPPERS", TEXT_A)
    with pytest.raises(ValidationError) as refusal:
        Settings()  # type: ignore[call-arg]  # as above
    assert TEXT_A[:8] not in str(refusal.value)


@pytest.mark.parametrize(("before_epoch", "refused"), [(0, False), (2, False), (3, True)])
def test_what_can_still_be_found_is_not_retired(before_epoch: int, *, refused: bool) -> None:
    peppers = SecretStr(f"3:{TEXT_B},2:{TEXT_A}")
    if refused:
        with pytest.raises(ValidationError, match="oldest pepper"):
            Settings(peppers=peppers, retire_before_epoch=before_epoch)  # type: ignore[call-arg]  # as above
    else:
        settings = Settings(peppers=peppers, retire_before_epoch=before_epoch)  # type: ignore[call-arg]  # as above
        assert settings.retire_before_epoch == before_epoch
