"""`bihuan report` and `bihuan attribution compare` against a gateway that answers in a known way."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner, Result

from bihuan_cli.app import app
from bihuan_cli.stack.layout import RunningStack, StateFolder

Asked = list[tuple[str, dict[str, list[str]]]]


class Gateway(BaseHTTPRequestHandler):
    """Answers two pages of reports, a comparison and a verification."""

    asked: Asked
    differences: list[dict[str, object]]

    def do_GET(self) -> None:  # its name
        parts = urlsplit(self.path)
        query = parse_qs(parts.query)
        self.asked.append((parts.path, query))
        body = json.dumps(self._answer(parts.path, query)).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, path: str, query: dict[str, list[str]]) -> object:
        if path == "/v1/reports":
            token = "" if "page_token" in query else "more"
            row = {"campaign": "=c2" if not token else "c1", "currency": "USD"}
            return {"rows": [{**row, "clicks": 1_234, "ctr": None}], "next_page_token": token}
        if path == "/v1/reports/models":
            row = {"campaign": "c1", "model": "linear", "currency": "USD"}
            rows = [{**row, "credited_orders": "0.500000", "credited_value_micros": 7}]
            return {"rows": rows, "order_count": 2, "unattributed_count": 1, "weights_time": None}
        return {"row_count": 5, "position": 9, "differences": self.differences}

    def log_message(self, *_: object) -> None:
        """Be silent."""


@pytest.fixture
def gateway() -> type[Gateway]:
    Gateway.asked, Gateway.differences = [], []
    return Gateway


@pytest.fixture
def state(gateway: type[Gateway], tmp_path: Path) -> Iterator[Path]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), gateway)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_address[1]}"
    RunningStack(url, {}, "system", 1, redis_url="").write(StateFolder(tmp_path).stack)
    yield tmp_path
    server.shutdown()
    server.server_close()


def call(state: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, [*arguments, "--state", str(state)])


METRICS = ("--metrics", "clicks,ctr")


def test_a_report_is_printed_with_all_its_pages(state: Path, gateway: type[Gateway]) -> None:
    times = ("--as-of", "2017-01-01T00:00:00Z", "--from", "2016-01-01T00:00:00Z", "--to", "2016-02-01T00:00:00Z")
    result = call(state, "report", "campaign", *METRICS, *times)
    assert result.exit_code == 0, result.output
    assert "1,234" in result.output
    first, second = (query for _, query in gateway.asked)
    assert first["as_of_time"] == ["2017-01-01T00:00:00Z"]
    assert (first["metrics"], first["start_time"]) == (["clicks", "ctr"], ["2016-01-01T00:00:00Z"])
    assert second["page_token"] == ["more"]


def test_a_report_is_written_as_csv_json_and_parquet(state: Path, tmp_path: Path) -> None:
    result = call(state, "report", "show", "campaign", *METRICS, "--format", "csv")
    lines = ["campaign,currency,clicks,ctr", "c1,USD,1234,", "'=c2,USD,1234,"]
    assert result.output.split() == lines
    result = call(state, "report", "campaign", *METRICS, "--json")
    assert [row["clicks"] for row in json.loads(result.output)] == [1_234, 1_234]
    path = tmp_path / "report.parquet"
    result = call(state, "report", "campaign", *METRICS, "--format", "parquet", "--output", str(path))
    assert result.exit_code == 0, result.output
    assert pq.read_table(path).column("campaign").to_pylist() == ["c1", "=c2"]


def test_parquet_needs_a_file_and_a_table_none(state: Path, tmp_path: Path) -> None:
    for wrong in (
        ("--format", "parquet"),
        ("--output", str(tmp_path / "x")),
        ("--format", "csv", "--output", str(tmp_path / "no" / "folder")),
    ):
        result = call(state, "report", "campaign", *METRICS, *wrong)
        assert (result.exit_code, "error:" in result.output) == (1, True)
    assert not (tmp_path / "x").exists()


def test_verifying_ends_with_one_where_a_figure_differs(state: Path, gateway: type[Gateway]) -> None:
    assert call(state, "report", "verify").exit_code == 0
    gateway.differences = [{"dimensions": {"campaign": "c1"}, "figure": "clicks", "held": 2, "recomputed": 1}]
    result = call(state, "report", "verify")
    assert result.exit_code == 1
    assert "campaign c1" in result.output


def test_models_are_compared(state: Path, gateway: type[Gateway]) -> None:
    times = ("--from", "2016-01-01T00:00:00Z", "--to", "2016-02-01T00:00:00Z")
    result = call(state, "attribution", "compare", "acme", *times, "--models", "linear,markov")
    assert result.exit_code == 0, result.output
    assert "0.500000" in result.output
    assert "2 orders with a touch, 1 without one" in result.output
    (_, query) = gateway.asked[0]
    assert (query["advertiser_id"], query["models"]) == (["acme"], ["linear", "markov"])


def test_a_report_explains_itself() -> None:
    result = CliRunner().invoke(app, ["report", "--help"])
    assert result.exit_code == 0
    assert "verify" in result.output
