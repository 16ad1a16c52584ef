"""`bihuan identity link-records`: what is told to identity, how it is told, and how wrong input is refused."""

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from made_up_records import people, repeated, write_csv
from typer.testing import CliRunner

from bihuan.identity.v1 import identity_pb2 as pb
from bihuan_cli.app import app
from bihuan_cli.linking.evidence import CALLS_AT_ONCE, Finding, Reference, findings, tell
from bihuan_identity.linkage.clustering import Candidate
from bihuan_identity.linkage.job import Linkage
from bihuan_identity.linkage.model import Scored
from bihuan_identity.linkage.records import Records
from bihuan_identity.linkage.spec import infer_spec
from bihuan_shared.errors import FailedPrecondition, FieldViolation, InvalidArgument, Unavailable

if TYPE_CHECKING:
    from bihuan.identity.v1.identity_pb2_grpc import IdentityServiceAsyncStub

KEY = b"key of the caller"


def linkage(*links: Candidate, digest: str = "model", sources: tuple[int, ...] = (0, 0, 1, 1)) -> Linkage:
    """Four records with ids a, b, c, a in rows 1 to 4; the last two may be of a second file."""
    records = Records(("a", "b", "c", "a"), sources, (1, 2, 3, 4), (None,) * 4, (Path(),), ())
    scored = Scored(links, 10, 0.01, 1.0, digest)
    return Linkage(infer_spec(["surname", "dob"]), records, (), scored, 0.5, links, (0, 0, 0, 3))


def told(found: Linkage, namespaces: tuple[str, str] = ("partner.crm", "partner.shop")) -> list[pb.LinkRequest]:
    return [finding.request for finding in findings(found, ["x.csv", "y.csv"], namespaces, KEY)[0]]


def test_a_link_becomes_probabilistic_evidence_with_a_confidence_below_1() -> None:
    (request,) = told(linkage(Candidate(0, 2, 0.999999999)))
    assert [(item.namespace, item.value) for item in request.identifiers] == [
        ("partner.crm", "a"),
        ("partner.shop", "c"),
    ]
    assert request.evidence.kind == pb.EVIDENCE_KIND_PROBABILISTIC
    assert (request.evidence.source, request.evidence.confidence) == ("splink", 0.9999)
    assert not request.evidence.HasField("observe_time")


def test_request_ids_are_the_same_in_every_run_and_differ_by_model_and_confidence() -> None:
    link = Candidate(0, 2, 0.9123456)
    (first,), (again,) = told(linkage(link)), told(linkage(Candidate(0, 2, 0.91235)))
    assert first == again
    others = [told(linkage(link, digest="other"))[0], told(linkage(Candidate(0, 2, 0.8)))[0], told(linkage(Candidate(1, 2, 0.9123456)))[0]]  # fmt: skip  # noqa: E501
    assert len({request.request_id for request in [first, *others]}) == 4
    assert len(first.request_id) <= 128


def test_request_ids_give_no_identifier_away() -> None:
    link = linkage(Candidate(0, 1, 0.9))
    ids = {findings(link, ["x.csv"], ["login"], key)[0][0].request.request_id for key in (b"one", b"two")}
    assert len(ids) == 2


def test_one_identifier_in_both_files_is_refused_by_row() -> None:
    link = linkage(Candidate(0, 3, 0.99))
    requests, refused = findings(link, ["x.csv", "y.csv"], ["login", "login"], KEY)
    assert requests == []
    assert refused[0].rows == (Reference("x.csv", 1), Reference("y.csv", 4))
    assert refused[0].reason == "both rows have the same identifier"


class FakeIdentity:
    """Answers `Link` as it is told to, and counts."""

    def __init__(self, *answers: Exception | pb.LinkResponse) -> None:
        self._answers = list(answers)
        self.calls: list[pb.LinkRequest] = []
        self._running = 0
        self.most_at_once = 0

    async def Link(self, request: pb.LinkRequest, timeout: float) -> pb.LinkResponse:  # noqa: N802, ASYNC109
        self.calls.append(request)
        self._running += 1
        self.most_at_once = max(self.most_at_once, self._running)
        await asyncio.sleep(0)
        self._running -= 1
        answer = self._answers.pop(0) if self._answers else pb.LinkResponse(person_id=1)
        if isinstance(answer, Exception):
            raise answer
        return answer

    @property
    def stub(self) -> "IdentityServiceAsyncStub":
        return cast("IdentityServiceAsyncStub", self)


def some(count: int) -> list[Finding]:
    rows = (Reference("x.csv", 1), Reference("x.csv", 2))
    return [Finding(pb.LinkRequest(request_id=f"splink:{at}"), rows) for at in range(count)]


async def no_pause(_: float) -> None:
    await asyncio.sleep(0)


async def test_every_link_is_told_once_and_few_at_a_time() -> None:
    identity = FakeIdentity()
    advanced: list[None] = []
    telling = await tell(identity.stub, some(200), lambda: advanced.append(None), pause=no_pause)
    assert (telling.sent, len(identity.calls), len(advanced)) == (200, 200, 200)
    assert len({call.request_id for call in identity.calls}) == 200
    assert identity.most_at_once == CALLS_AT_ONCE


async def test_what_identity_refuses_is_reported_and_the_rest_goes_on() -> None:
    guard = FailedPrecondition("too many", FieldViolation("identifiers", "would join too many"), reason="CLUSTER_GUARD")
    junk = InvalidArgument.of("identifiers[0].value", "is a known placeholder")
    merged = pb.LinkResponse(person_id=1, merged_person_ids=[2, 3], quarantined=True)
    telling = await tell(FakeIdentity(guard, junk, merged).stub, some(3), lambda: None, pause=no_pause)
    assert (telling.sent, telling.merged_persons, telling.quarantined) == (1, 2, 1)
    assert sorted(refusal.reason for refusal in telling.refused) == [
        "identifiers would join too many",
        "identifiers[0].value is a known placeholder",
    ]


async def test_an_identity_that_is_away_for_a_moment_is_asked_again() -> None:
    identity = FakeIdentity(Unavailable("restarting"), Unavailable("restarting"))
    telling = await tell(identity.stub, some(1), lambda: None, pause=no_pause)
    assert (telling.sent, len(identity.calls)) == (1, 3)


async def test_an_identity_that_stays_away_ends_the_command() -> None:
    identity = FakeIdentity(*[Unavailable("away")] * 4)
    with pytest.raises(ExceptionGroup) as caught:
        await tell(identity.stub, some(1), lambda: None, pause=no_pause)
    assert caught.group_contains(Unavailable)
    assert len(identity.calls) == 4


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    everyone = people(200, seed=3)
    return write_csv(tmp_path_factory.mktemp("cli") / "all.csv", [*everyone, *repeated(everyone[:80], seed=4)])


def link_records(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["identity", "link-records", *arguments])
    return result.exit_code, " ".join(result.output.split())


def test_a_dry_run_reports_as_json_what_it_would_tell(file: Path, tmp_path: Path) -> None:
    arguments = ["identity", "link-records", str(file), "--namespace", "partner.crm", "--id-column", "rec_id"]
    options = ["--truth-column", "person", "--dry-run", "--json", "--state", str(tmp_path)]
    result = CliRunner().invoke(app, [*arguments, *options])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["records"] == 280
    assert found["truth"]["b_cubed"]["f1"] > 0.95
    assert found["sent"] == 0
    assert found["links"] == sum(band["linked"] for band in found["bands"])
    assert sum(found["clusters"]["by_size"].values()) == found["clusters"]["persons"]
    assert not list(tmp_path.iterdir())
    assert "r-0-a" not in result.output


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"file": "none.csv"}, "error: file: none.csv is not a file"),
        ({"--id-column": "key"}, "error: id_column: 'key' is not a column of all.csv"),
        ({"--namespace": "crm"}, "error: namespace: 'crm' is not a declared namespace"),
        ({"--exclude": "nothing"}, "error: exclude: 'nothing' is not a column of the files"),
        ({"--min-confidence": "2"}, "error: min_confidence: must lie between 0 and 1"),
        ({"--work-dir": "none"}, "error: work_dir: none is not a folder"),
        ({"--spec": "none.json"}, "error: spec: none.json cannot be read"),
        ({"--id-column": "given_name"}, "error: id_column:"),
    ],
)
def test_wrong_input_is_refused_by_name(file: Path, change: dict[str, str], message: str) -> None:
    options = {"--namespace": "partner.crm", "--id-column": "rec_id"} | change
    path = options.pop("file", str(file))
    code, output = link_records(path, *(part for pair in options.items() for part in pair), "--dry-run")
    assert code == 1
    assert message in output


def test_without_a_stack_the_work_does_not_begin(file: Path, tmp_path: Path) -> None:
    options = ["--namespace", "partner.crm", "--id-column", "rec_id", "--state", str(tmp_path)]
    code, output = link_records(str(file), *options)
    assert code == 1
    assert "no stack runs on" in output
    assert "reading" not in output
