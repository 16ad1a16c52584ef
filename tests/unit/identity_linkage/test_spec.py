"""Which columns are compared, and how: by their names, or as a spec says."""

from pathlib import Path

import pytest

from bihuan_identity.linkage.spec import ColumnKind, infer_spec, read_spec
from bihuan_shared.errors import InvalidArgument


def kinds(*names: str) -> dict[str, str]:
    return {column.source: column.kind.value for column in infer_spec(names).columns}


def test_columns_are_known_by_their_names() -> None:
    febrl = ("given_name", "surname", "street_number", "address_1", "address_2", "suburb", "postcode", "state")
    assert kinds(*febrl, "date_of_birth") == {
        "given_name": "name",
        "surname": "name",
        "street_number": "code",
        "address_1": "text",
        "address_2": "text",
        "suburb": "text",
        "postcode": "code",
        "state": "category",
        "date_of_birth": "date",
    }
    assert kinds("First Name", "lastName", "DOB", "E-mail", "zip") == {
        "First Name": "name",
        "lastName": "name",
        "DOB": "date",
        "E-mail": "code",
        "zip": "code",
    }


def test_columns_of_unknown_meaning_are_left_out() -> None:
    assert kinds("surname", "dob", "favourite_colour") == {"surname": "name", "dob": "date"}


def test_too_few_known_columns_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="columns: 2 to 32 columns can be compared, found 1"):
        infer_spec(["surname", "favourite_colour"])


def test_columns_that_differ_in_punctuation_only_are_refused() -> None:
    with pytest.raises(InvalidArgument, match="punctuation"):
        infer_spec(["sur_name", "sur name"])


def test_a_spec_says_kinds_and_blocks(tmp_path: Path) -> None:
    path = tmp_path / "spec.json"
    path.write_text('{"columns": {"who": "name", "Wo wohnt": "text"}, "blocking": [["who"]], "pairs_a_record": 3}')
    spec = read_spec(path, ["who", "Wo wohnt", "more"])
    assert [(column.source, column.name, column.kind) for column in spec.columns] == [
        ("who", "f_who", ColumnKind.NAME),
        ("Wo wohnt", "f_wo_wohnt", ColumnKind.TEXT),
    ]
    assert (spec.blocking, spec.pairs_a_record) == ((("f_who",),), 3)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ('{"columns": {"who": "name", "ssn": "code"}}', "spec.columns.ssn"),
        ('{"columns": {"who": "name", "dob": "date"}, "blocking": [["who"], []]}', "spec.blocking\\[1\\]"),
        ('{"columns": {"who": "name", "dob": "date"}, "blocking": [["more"]]}', "spec.blocking\\[0\\]"),
        ('{"columns": {"who": "name", "dob": "date"}, "pairs_a_record": 0}', "spec.pairs_a_record"),
        ('{"columns": {"who": "nom", "dob": "date"}}', "spec: Invalid enum value"),
        ('{"columns": {"who": "name", "dob": "date"}, "extra": 1}', "spec: Object contains unknown field"),
        ("{", "spec: Input data was truncated"),
        ("\udcff", "spec"),
        ('{"columns": {"who": "name"}}', "columns: 2 to 32"),
    ],
)
def test_a_wrong_spec_is_refused_by_field(tmp_path: Path, text: str, field: str) -> None:
    path = tmp_path / "spec.json"
    path.write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(InvalidArgument, match=field):
        read_spec(path, ["who", "dob", "more"])


def test_an_absent_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"spec: .* cannot be read"):
        read_spec(tmp_path / "none.json", [])
