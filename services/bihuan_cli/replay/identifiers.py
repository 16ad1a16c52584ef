"""
Identifiers of the households.

The data set has none. These are synthetic: derived from the household's number, the same in every run.
"""

import hashlib

CONSENT = {
    "purposes": ["targeting", "personalisation", "measurement", "insight"],
    "data_classes": ["registration", "operation", "transaction"],
    "source": "synthetic",
}


def cookie(household_id: int) -> dict[str, str]:
    """The household's synthetic browser cookie."""
    return {"namespace": "cookie", "value": f"ck-{_digest('cookie', household_id)[:24]}"}


def login(household_id: int) -> dict[str, str]:
    """The household's synthetic account."""
    return {"namespace": "login", "value": f"household-{household_id}"}


def email(household_id: int) -> dict[str, str]:
    """SHA-256 of the household's synthetic e-mail address, hexadecimal."""
    address = f"household-{household_id}@example.com"
    return {"namespace": "email_sha256", "value": hashlib.sha256(address.encode()).hexdigest()}


def all_of(household_id: int) -> list[dict[str, str]]:
    """Every identifier of the household."""
    return [cookie(household_id), login(household_id), email(household_id)]


def one_of(household_id: int, salt: str) -> dict[str, str]:
    """One of the household's identifiers, chosen evenly and the same for the same salt."""
    return all_of(household_id)[int(_digest(salt, household_id)[:8], 16) % 3]


def _digest(salt: str, household_id: int) -> str:
    return hashlib.sha256(f"{salt}/{household_id}".encode()).hexdigest()
