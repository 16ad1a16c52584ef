"""The whole job on a few hundred made-up people, whose truth it does not see."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from made_up_records import COLUMNS, people, repeated, write_csv

from bihuan_identity.linkage.engines import Engine, open_engine
from bihuan_identity.linkage.job import Linkage, link_files
from bihuan_identity.linkage.order import LinkageOrder
from bihuan_identity.linkage.records import InputFile
from bihuan_identity.linkage.verdict import judge
from bihuan_shared.errors import FailedPrecondition, InvalidArgument

PEOPLE = people(300, seed=3)
REPEATED = repeated(PEOPLE[:120], seed=4)
# Five columns tell these people apart, and each column costs time.
LEFT_OUT = frozenset({"street_number", "suburb", "state"})


@pytest.fixture
def engine() -> Iterator[Engine]:
    opened = open_engine("duckdb")
    yield opened
    opened.close()


def run(order: LinkageOrder) -> Linkage:
    engine = open_engine("duckdb")
    try:
        return link_files(order, engine)
    finally:
        engine.close()


@pytest.fixture(scope="module")
def one_file(tmp_path_factory: pytest.TempPathFactory) -> InputFile:
    path = write_csv(tmp_path_factory.mktemp("linkage") / "all.csv", [*PEOPLE, *REPEATED])
    return InputFile(path, "rec_id", "person")


@pytest.fixture(scope="module")
def linkage(one_file: InputFile) -> Linkage:
    return run(LinkageOrder((one_file,), excluded=LEFT_OUT))


def test_repeated_people_are_found_without_the_truth(linkage: Linkage) -> None:
    verdict = judge(linkage, linkage.records.truth)
    assert verdict.links.f1 > 0.97
    assert verdict.clusters.f1 > 0.97
    assert verdict.b_cubed.f1 > 0.98
    assert verdict.calibration_error < 0.05
    assert linkage.scored.expected_matches == pytest.approx(120, rel=0.05)


def test_truth_and_id_are_not_compared(linkage: Linkage) -> None:
    assert {column.source for column in linkage.spec.columns} == set(COLUMNS[1:]) - LEFT_OUT


def test_links_are_what_reaches_the_threshold_and_clusters_follow_from_them(linkage: Linkage) -> None:
    assert linkage.links == tuple(
        candidate for candidate in linkage.scored.candidates if candidate.probability >= linkage.threshold
    )
    assert all(linkage.clusters[link.first] == linkage.clusters[link.second] for link in linkage.links)
    assert 0.99 <= linkage.expected_precision() <= 1
    assert 0.9 < linkage.expected_f1() <= 1


def test_a_repeated_run_finds_the_same_model_whatever_the_order_of_rows(linkage: Linkage, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "shuffled.csv", [*REPEATED, *PEOPLE[::-1]])
    again = run(LinkageOrder((InputFile(path, "rec_id", "person"),), excluded=LEFT_OUT))
    assert again.scored == linkage.scored
    assert again.links == linkage.links


def test_two_files_are_linked_one_to_one(tmp_path: Path) -> None:
    files = tuple(
        InputFile(write_csv(tmp_path / f"{name}.csv", rows), "rec_id", "person")
        for name, rows in (("a", PEOPLE), ("b", REPEATED))
    )
    stages: list[str] = []
    engine = open_engine("duckdb")
    linkage = link_files(LinkageOrder(files, excluded=LEFT_OUT, one_to_one=True), engine, stages.append)
    engine.close()
    ends = [end for link in linkage.links for end in (link.first, link.second)]
    assert len(ends) == len(set(ends))
    assert judge(linkage, linkage.records.truth).links.f1 > 0.97
    assert stages == ["reading", "choosing blocks", "training", "scoring", "clustering"]


def test_a_stated_confidence_replaces_the_chosen_one_and_nothing_prepared_is_left(
    one_file: InputFile, engine: Engine, tmp_path: Path
) -> None:
    linkage = link_files(LinkageOrder((one_file,), excluded=LEFT_OUT, min_confidence=0.9999, work_dir=tmp_path), engine)
    assert linkage.threshold == 0.9999
    assert all(link.probability >= 0.9999 for link in linkage.links)
    assert not list(tmp_path.iterdir())


def test_strangers_who_share_a_suburb_are_not_taken_for_repeated_persons(tmp_path: Path, engine: Engine) -> None:
    path = write_csv(tmp_path / "a.csv", people(300, seed=9), COLUMNS)
    with pytest.raises(FailedPrecondition, match="show no repeated persons"):
        link_files(
            LinkageOrder((InputFile(path, "rec_id"),), excluded=frozenset({"street_number", "address", "state"})),
            engine,
        )


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (
            [row | {name: f"{at}{row[name]}{at}" for name in COLUMNS[1:]} for at, row in enumerate(PEOPLE[:30])],
            "no two",
        ),
        (PEOPLE[:2], "no two records agree|too few records agree"),
    ],
)
def test_records_that_nothing_can_be_learnt_from_are_refused(
    tmp_path: Path, rows: list[dict[str, str]], message: str
) -> None:
    path = write_csv(tmp_path / "a.csv", rows, COLUMNS)
    with pytest.raises(FailedPrecondition, match=message):
        run(LinkageOrder((InputFile(path, "rec_id"),)))


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"one_to_one": True}, "one_to_one"),
        ({"min_confidence": 1.5}, "min_confidence"),
        ({"excluded": frozenset({"nothing"})}, "exclude"),
        ({"files": ()}, "file"),
    ],
)
def test_a_wrong_order_is_refused_by_field(
    one_file: InputFile, engine: Engine, change: dict[str, object], field: str
) -> None:
    order = LinkageOrder(**({"files": (one_file,)} | change))  # type: ignore[arg-type]  # one of each kind
    with pytest.raises(InvalidArgument, match=f"^{field}"):
        link_files(order, engine)
