"""What is declared holds together, and is what the documentation tells."""

from pathlib import Path

import pytest

from bihuan_identity.domain.graph import CERTAIN_PPM, MAX_ITEM_IDENTIFIERS
from bihuan_identity.domain.namespaces import DECLARED, Namespace, Scope, find_namespace, kept_name
from bihuan_shared.clock import DAY_US

API = Path(__file__).parents[3] / "docs" / "api.md"
HEADER = "| namespace | a value is | stands for | kept as | trust | days | most |"


def documented() -> list[list[str]]:
    """Return the cells of the table, without the column in prose."""
    _, _, table = API.read_text().partition(HEADER)
    lines = table.strip().partition("\n\n")[0].splitlines()[1:]
    rows = [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]
    return [[row[0], *row[2:]] for row in rows]


def row(declared: Namespace) -> list[str]:
    """Return what the table should tell of a namespace."""
    own = "its own name" if declared.name.endswith("*") else declared.name
    return [
        declared.name,
        declared.scope.value,
        declared.kept_as or own,
        f"{declared.trust_ppm / CERTAIN_PPM:g}",
        str(declared.ttl_us // DAY_US),
        str(declared.max_degree),
    ]


def test_the_documented_table_is_what_is_declared() -> None:
    assert documented() == [row(declared) for declared in DECLARED]


def test_names_are_declared_once() -> None:
    assert len({declared.name for declared in DECLARED}) == len(DECLARED)


@pytest.mark.parametrize("declared", DECLARED, ids=lambda declared: declared.name)
def test_every_namespace_is_bounded(declared: Namespace) -> None:
    assert 0 < declared.trust_ppm <= CERTAIN_PPM
    assert declared.ttl_us % DAY_US == 0
    assert declared.max_degree >= MAX_ITEM_IDENTIFIERS


@pytest.mark.parametrize("raw", [declared for declared in DECLARED if declared.kept_as], ids=lambda raw: raw.name)
def test_a_raw_namespace_differs_from_its_digest_in_form_only(raw: Namespace) -> None:
    hashed = find_namespace(raw.kept_as)
    assert hashed is not None
    assert hashed.digest is None
    assert (raw.scope, raw.trust_ppm, raw.ttl_us, raw.max_degree) == (
        hashed.scope,
        hashed.trust_ppm,
        hashed.ttl_us,
        hashed.max_degree,
    )


@pytest.mark.parametrize(
    ("name", "kept"),
    [
        ("login", "login"),
        ("email", "email_sha256"),
        ("email_sha256", "email_sha256"),
        ("imei", "imei_md5"),
        ("partner.acme", "partner.acme"),
        ("eid.uidapi.com", "eid.uidapi.com"),
        ("partner.", None),
        ("nothing", None),
    ],
)
def test_kept_name(name: str, kept: str | None) -> None:
    assert kept_name(name) == kept


def test_household_ids_are_trusted_least() -> None:
    *others, household = sorted(DECLARED, key=lambda declared: -declared.trust_ppm)
    assert household.scope is Scope.HOUSEHOLD
    assert min(declared.trust_ppm for declared in others) > household.trust_ppm


def test_names_from_before_are_still_declared() -> None:
    for name in ("login", "email_sha256", "phone_sha256", "idfa", "gaid", "oaid", "cookie", "household", "partner.x"):
        assert find_namespace(name) is not None
