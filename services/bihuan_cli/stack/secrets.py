"""Credentials of a local stack: made once, kept in the state folder, readable by its owner only."""

import hashlib
import json
import os
import secrets
from base64 import b64encode, urlsafe_b64encode
from dataclasses import asdict, dataclass, fields
from pathlib import Path

_FORMER_PEPPER = "identity_pepper"
"""What folders made before peppers had epochs call the pepper of epoch 1."""


@dataclass(frozen=True, slots=True)
class StackSecrets:
    """Everything secret that a local stack needs."""

    admin_key: str
    gateway_secret: str
    scoring_secret: str
    profile_secret: str
    attribution_secret: str
    cli_secret: str
    token_keys: str
    identity_peppers: str
    pseudonym_keys: str
    receipt_keys: str
    webhook_secrets: str
    model_keys: str
    reach_secret: str

    def callers_json(self) -> str:
        """What every gRPC server accepts: the callers' names, roles and the SHA-256 of their secrets."""
        callers = {
            "gateway": self.gateway_secret,
            "scoring": self.scoring_secret,
            "profile": self.profile_secret,
            "attribution": self.attribution_secret,
            "cli": self.cli_secret,
        }
        return json.dumps(
            [{"name": name, "role": "internal", "secret_sha256": sha256_hex(value)} for name, value in callers.items()]
        )


def sha256_hex(text: str) -> str:
    """Lower-case hexadecimal SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def load_or_create(path: Path) -> StackSecrets:
    """
    Read the secrets, and make those that are not there yet.

    The file is written whole and with mode 0600, so that a crash leaves either the old one or all of the new one.
    """
    stored: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    if _FORMER_PEPPER in stored:
        stored.setdefault("identity_peppers", f"1:{stored[_FORMER_PEPPER]}")
    made = _new_secrets()
    complete = StackSecrets(**{field.name: stored.get(field.name, getattr(made, field.name)) for field in fields(made)})
    if any(field.name not in stored for field in fields(made)):
        _write(path, complete)
    return complete


def _new_secrets() -> StackSecrets:
    return StackSecrets(
        admin_key=f"bh_dev_{secrets.token_urlsafe(24)}",
        gateway_secret=secrets.token_urlsafe(32),
        scoring_secret=secrets.token_urlsafe(32),
        profile_secret=secrets.token_urlsafe(32),
        attribution_secret=secrets.token_urlsafe(32),
        cli_secret=secrets.token_urlsafe(32),
        token_keys=f"k1:{urlsafe_b64encode(secrets.token_bytes(32)).decode()}",
        identity_peppers=f"1:{_key()}",
        pseudonym_keys=f"1@1970-01-01T00:00:00Z:{_key()}",
        receipt_keys=f"1:{_key()}",
        webhook_secrets=secrets.token_urlsafe(32),
        model_keys=f"1:{_key()}",
        reach_secret=secrets.token_urlsafe(32),
    )


def _key() -> str:
    return b64encode(secrets.token_bytes(32)).decode()


def _write(path: Path, made: StackSecrets) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(made), file)
    draft.replace(path)
