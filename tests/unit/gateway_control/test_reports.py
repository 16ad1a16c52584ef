"""Reports through the HTTP API: metrics, formats, reach, models side by side, verification; one tenant's wall."""

import io
from fractions import Fraction

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bihuan_gateway.control.order_attribution import MODELS
from bihuan_gateway.control.reports import DIMENSIONS, METRICS, MetricName, ReportRow, quotient
from bihuan_gateway.routes.report_files import Column, as_csv
from tests.unit.gateway_control.outsiders import Api, Outsiders

ROW = ReportRow(
    ("x",),
    "USD",
    impressions=3_000,
    viewables=2_000,
    clicks=7,
    orders=2,
    order_value_micros=9_000_000,
    spend_nanos=1_000_000_001,
    person_impressions=2_900,
    reach=700,
)


@given(numerator=st.integers(-(10**20), 10**20), denominator=st.integers(1, 10**20), places=st.integers(1, 9))
def test_a_quotient_is_the_nearest_decimal_half_to_even(numerator: int, denominator: int, places: int) -> None:
    text = quotient(numerator, denominator, places)
    assert text is not None
    exact = Fraction(numerator, denominator)
    assert Fraction(text) == Fraction(round(exact * 10**places), 10**places)
    assert len(text.partition(".")[2]) == places


def test_nothing_is_divided_by_nothing() -> None:
    assert [quotient(1, held, 2) for held in (0, None, -1)] == [None, None, None]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("ctr", "0.002333"),
        ("viewability_rate", "0.666667"),
        ("cvr", "0.285714"),
        ("ecpm", "0.333333"),
        ("cpc", "0.142857"),
        ("cpa", "0.500000"),
        ("roi", "9.0000"),
        ("roas", "9.0000"),
        ("frequency", "4.1429"),
        ("reach", 700),
        ("spend_micros", 1_000_000),
    ],
)
def test_metrics_follow_their_formulas(name: MetricName, value: object) -> None:
    assert METRICS[name].of(ROW) == value


def test_what_is_undefined_is_null() -> None:
    empty = ReportRow((), "USD")
    undefined = {name for name, metric in METRICS.items() if metric.of(empty) is None}
    assert undefined == {
        "roi", "roas", "ctr", "viewability_rate", "cvr", "ecpm", "cpc", "cpa", "reach", "frequency"
    }  # fmt: skip


def test_a_spreadsheet_takes_no_cell_for_a_formula() -> None:
    columns = [Column("name", "text"), Column("count", "integer"), Column("rate", "decimal", 1)]
    names = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "a=1", '"=1"']
    text = as_csv(columns, [{"name": one, "count": -1, "rate": "-0.5"} for one in names])
    lines = [line.rsplit(",", 2) for line in text.split("\r\n")[1:-1]]
    assert [line[0].lstrip('"')[0] for line in lines[:6]] == ["'"] * 6
    assert [line[0] for line in lines[6:]] == ["a=1", '"""=1"""']
    assert all(line[1:] == ["-1", "-0.5"] for line in lines)


async def test_reports_are_told_by_every_dimension(admin: Api, tree: dict[str, object], outsiders: Outsiders) -> None:
    query = "&".join(f"dimensions={name}" for name in DIMENSIONS)
    report = await admin.get(f"/v1/reports?{query}&as_of_time=2017-01-01T05:00:00Z")
    assert outsiders.attribution.queries[-1].dimensions == DIMENSIONS
    assert outsiders.attribution.queries[-1].as_of_time_us == 1_483_246_800_000_000
    assert not {"reach", "frequency"} & set(report["metrics"])  # type: ignore[call-overload]  # a list in JSON


async def test_reach_is_told_where_it_is_asked_for(admin: Api, tree: dict[str, object], outsiders: Outsiders) -> None:
    report = await admin.get("/v1/reports?metrics=reach&metrics=frequency")
    assert report["rows"] == [{"campaign": "campaign-1", "currency": "USD", "reach": 8, "frequency": "1.1250"}]
    assert outsiders.attribution.queries[-1].with_reach


@pytest.mark.parametrize(
    ("query", "pointer"),
    [
        ("as_of_time=2017-01-01T05:00:01Z", "/query/as_of_time"),
        ("as_of_time=soon", "/query/as_of_time"),
        ("start_time=2017-01-01T00:30:00Z&end_time=2017-01-02T00:00:00Z", "/query/start_time"),
        ("metrics=reach&as_of_time=2017-01-01T00:00:00Z", "/query/as_of_time"),
        ("metrics=frequency&dimensions=hour", "/query/dimensions"),
        ("metrics=reach&start_time=2017-01-01T00:00:00Z&end_time=2017-01-01T05:00:00Z", "/query/end_time"),
    ],
)
async def test_what_cannot_be_told_is_refused_by_parameter(admin: Api, query: str, pointer: str) -> None:
    answer = await admin.call("GET", f"/v1/reports?{query}")
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["pointer"] == pointer


async def test_parquet_is_typed_and_exact(admin: Api, tree: dict[str, object]) -> None:
    query = "/v1/reports?metrics=clicks&metrics=roas&metrics=reach"
    for answer in (
        await admin.call("GET", f"{query}&format=parquet"),
        await admin.call("GET", query, accept="application/vnd.apache.parquet"),
    ):
        assert answer.headers["content-type"] == "application/vnd.apache.parquet"
        assert answer.headers["x-next-page-token"] == "next"
        table = pq.read_table(io.BytesIO(answer.content))
        assert [str(one) for one in table.schema.types] == ["string", "string", "int64", "decimal128(38, 4)", "int64"]
        (row,) = table.to_pylist()
        assert (row["campaign"], row["clicks"], str(row["roas"]), row["reach"]) == ("campaign-1", 3, "2.3333", 8)


SPAN = "start_time=2017-01-01T00:00:00Z&end_time=2017-02-01T00:00:00Z"


async def test_models_are_compared_for_one_tenant(admin: Api, tree: dict[str, object], outsiders: Outsiders) -> None:
    path = f"/v1/reports/models?{SPAN}"
    assert (await admin.call("GET", path)).json()["errors"][0]["pointer"] == "/query/advertiser_id"
    owner = await admin.key_for("advertiser", "acme")
    whole = await owner.get(path)
    assert (whole["models"], whole["order_count"], whole["unattributed_count"]) == ([*MODELS], 2, 1)
    assert outsiders.attribution.compared[-1][0] == "acme"
    some = await admin.get(f"{path}&advertiser_id=acme&models=markov")
    assert some["rows"] == [
        {
            "campaign": "=c1",
            "model": "markov",
            "currency": "USD",
            "credited_orders": "1.500000",
            "credited_value_micros": 7,
        }
    ]
    table = await admin.call("GET", f"{path}&advertiser_id=acme&models=markov&format=csv")
    assert table.text.split("\r\n")[1] == "'=c1,markov,USD,1.500000,7"
    assert (await owner.call("GET", f"{path}&advertiser_id=other")).status_code == 404
    assert (await owner.call("GET", "/v1/reports/models")).status_code == 400
    assert (await owner.call("GET", f"{path}&models=guess")).status_code == 400


async def test_verification_is_for_admins(admin: Api, tree: dict[str, object]) -> None:
    found = await admin.get("/v1/reports/verification")
    assert found == {
        "row_count": 3,
        "position": 9,
        "differences": [{"dimensions": {"campaign": "c1"}, "figure": "clicks", "held": 2, "recomputed": 1}],
    }
    owner = await admin.key_for("advertiser", "acme")
    assert (await owner.call("GET", "/v1/reports/verification")).status_code == 403


async def test_an_order_is_explained_by_all_models(admin: Api, tree: dict[str, object]) -> None:
    order = await admin.get("/v1/orders/o1/attribution?advertiser_id=acme")
    assert (order["commission_state"], order["weights_time"]) == ("estimated", "1970-01-01T00:00:03Z")
    touches, history = order["touches"], order["history"]
    assert isinstance(touches, list)
    assert isinstance(history, list)
    touch = touches[0]
    assert (touch["credits"]["linear"], touch["relation"], touch["sub_id"]) == (1_000_000, "direct", "sub")
    assert history[0]["book_time"] == "1970-01-01T00:00:02Z"
