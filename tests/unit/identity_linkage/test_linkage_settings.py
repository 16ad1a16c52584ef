"""The model is stated once, for every engine, and an engine that is not installed says what to install."""

import logging
import sys

import pytest
import sqlglot

from bihuan_identity.linkage.engines import open_engine
from bihuan_identity.linkage.settings import model_settings
from bihuan_identity.linkage.spec import infer_spec
from bihuan_shared.errors import FailedPrecondition

COLUMNS = infer_spec(["given_name", "surname", "dob", "postcode", "suburb", "state"]).columns
RULES = (("f_surname",), ("f_dob", "f_postcode"))


def conditions(engine: str) -> list[list[str]]:
    """The levels of every comparison in an engine's own SQL."""
    settings = model_settings(COLUMNS, RULES, between_two_files=False).create_settings_dict(engine)
    return [[level["sql_condition"] for level in one["comparison_levels"]] for one in settings["comparisons"]]


def test_every_engine_gets_the_same_comparisons_levels_and_blocks() -> None:
    shapes = []
    for engine in ("duckdb", "spark"):
        made = model_settings(COLUMNS, RULES, between_two_files=True).create_settings_dict(engine)
        comparisons = [
            (one["output_column_name"], [level["label_for_charts"] for level in one["comparison_levels"]])
            for one in made["comparisons"]
        ]
        rules = [rule["blocking_rule"].replace('"', "`") for rule in made["blocking_rules_to_generate_predictions"]]
        shapes.append((made["link_type"], comparisons, rules))
    assert shapes[0] == shapes[1]


@pytest.mark.parametrize("engine", ["duckdb", "spark"])
def test_every_condition_is_sql_of_its_engine(engine: str) -> None:
    for levels in conditions(engine):
        for condition in levels:
            if condition != "ELSE":
                sqlglot.parse_one(condition, read=engine)


def test_frequent_values_weigh_less_than_rare_ones_except_dates() -> None:
    made = model_settings(COLUMNS, RULES, between_two_files=False).create_settings_dict("duckdb")
    adjusted = {
        one["output_column_name"]
        for one in made["comparisons"]
        if any(level.get("tf_adjustment_column") for level in one["comparison_levels"])
    }
    assert adjusted == {"f_given_name", "f_surname", "f_postcode", "f_suburb", "f_state"}


def test_spark_that_is_not_installed_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyspark", None)
    monkeypatch.setitem(sys.modules, "pyspark.sql", None)
    with pytest.raises(FailedPrecondition, match=r"pip install 'splink\[pyspark\]'"):
        open_engine("spark")


def test_splink_stays_silent_about_what_it_computes() -> None:
    open_engine("duckdb").close()
    assert not logging.getLogger("splink").isEnabledFor(logging.WARNING)
