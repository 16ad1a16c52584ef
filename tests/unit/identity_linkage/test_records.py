"""Reading: what is refused and how it is named, how values are normalised, and that order leaks nothing."""

from pathlib import Path

import pyarrow.parquet as pq
import pytest
from made_up_records import COLUMNS, people, write_csv
from pyarrow.csv import read_csv

from bihuan_identity.linkage.records import InputFile, RecordReader, Records
from bihuan_identity.linkage.spec import infer_spec
from bihuan_shared.errors import InvalidArgument


def prepare(folder: Path, *files: InputFile) -> Records:
    reader = RecordReader(files)
    try:
        return reader.prepare(infer_spec(reader.columns).columns, folder)
    finally:
        reader.close()


def csv_file(folder: Path, text: str | bytes, name: str = "a.csv") -> InputFile:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return InputFile(path, "id")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "file: .*a.csv is empty"),
        ("id,surname,dob\n", "file: holds no records"),
        ("key,surname,dob\n1,smith,1990\n", "id_column: 'id' is not a column of a.csv"),
        (b"id,surname,dob\n1,\xff\xfe,1990\n2,smith,1991\n", "file: a.csv is not UTF-8"),
        ("id,surname,dob\n1,smith,1990\n2,jones,1990,more,and,more\n3,b,1990\n", "file: a.csv is not well-formed"),
        ("id,surname,dob\n7,smith,1990\n7,jones,1991\n", "id_column: 1 ids of a.csv occur twice, .* row 2"),
        ("id,colour,size\n1,red,9\n", "columns: 2 to 32 columns"),
    ],
)
def test_bad_files_are_refused_by_field(tmp_path: Path, content: str | bytes, message: str) -> None:
    with pytest.raises(InvalidArgument, match=message) as caught:
        prepare(tmp_path, csv_file(tmp_path, content))
    assert "smith" not in str(caught.value)
    assert "jones" not in str(caught.value)


def test_an_absent_file_and_something_that_is_no_parquet_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"file: .* is not a file"):
        prepare(tmp_path, InputFile(tmp_path / "none.csv", "id"))
    with pytest.raises(InvalidArgument, match=r"file: a.parquet is not well-formed"):
        prepare(tmp_path, csv_file(tmp_path, "id,surname,dob\n", "a.parquet"))


def test_an_absent_truth_column_is_named(tmp_path: Path) -> None:
    path = csv_file(tmp_path, "id,surname,dob\n1,smith,1990\n").path
    with pytest.raises(InvalidArgument, match="truth_column: 'person' is not a column"):
        prepare(tmp_path, InputFile(path, "id", "person"))


def test_rows_that_cannot_take_part_are_told_by_row_and_reason(tmp_path: Path) -> None:
    text = "id,surname,dob\n1,smith,1990\n ,jones,1990\n3, ,\n4,,1991\n"
    records = prepare(tmp_path, csv_file(tmp_path, text))
    assert sorted(records.ids) == ["1", "4"]
    assert [(row.row, row.reason) for row in records.rejected] == [
        (2, "has no record id"),
        (3, "has nothing in any column that is compared"),
    ]


def test_values_are_compared_without_case_accents_and_punctuation(tmp_path: Path) -> None:
    text = 'id, surname ,dob,postcode\n1,  Müller   LÜDENSCHEID ,1990-01-02,"12 345"\n'
    records = prepare(tmp_path, csv_file(tmp_path, text))
    (row,) = pq.read_table(records.prepared[0]).to_pylist()
    assert row == {"unique_id": 0, "f_surname": "muller ludenscheid", "f_dob": "19900102", "f_postcode": "12345"}


def test_numbers_depend_on_ids_and_not_on_the_order_of_the_file(tmp_path: Path) -> None:
    rows = people(50, seed=1)
    made = []
    for name, some in (("one", rows), ("two", rows[::-1])):
        folder = tmp_path / name
        folder.mkdir()
        made.append(prepare(folder, InputFile(write_csv(folder / "a.csv", some, COLUMNS), "rec_id")))
    first, second = made
    assert first.ids == second.ids
    assert first.rows != second.rows
    assert list(first.ids) != sorted(first.ids)
    assert pq.read_table(first.prepared[0]).equals(pq.read_table(second.prepared[0]))


def test_neither_id_nor_truth_is_prepared_for_comparison(tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", people(5, seed=1))
    records = prepare(tmp_path, InputFile(path, "rec_id", "person"))
    assert set(pq.read_table(records.prepared[0]).column_names) == {"unique_id", *(f"f_{name}" for name in COLUMNS[1:])}
    assert dict(zip(records.ids, records.truth, strict=True))["r-3-a"] == "3"


def test_two_files_share_one_numbering(tmp_path: Path) -> None:
    rows = people(20, seed=1)
    files = [InputFile(write_csv(tmp_path / f"{name}.csv", rows, COLUMNS), "rec_id") for name in "ab"]
    records = prepare(tmp_path, *files)
    assert len(records.ids) == 40
    numbers = [pq.read_table(path)["unique_id"].to_pylist() for path in records.prepared]
    assert sorted(numbers[0] + numbers[1]) == list(range(40))
    assert all(records.sources[number] == at for at in (0, 1) for number in numbers[at])


def test_parquet_is_read_like_csv(tmp_path: Path) -> None:
    from_csv = InputFile(write_csv(tmp_path / "a.csv", people(20, seed=1), COLUMNS), "rec_id")
    pq.write_table(read_csv(from_csv.path), tmp_path / "a.parquet")
    tables = []
    for at, file in enumerate((from_csv, InputFile(tmp_path / "a.parquet", "rec_id"))):
        folder = tmp_path / str(at)
        folder.mkdir()
        tables.append(pq.read_table(prepare(folder, file).prepared[0]))
    assert tables[0].equals(tables[1])
