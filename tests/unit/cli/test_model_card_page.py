"""A model card says what the version is, loads nothing, and trusts no text."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np

from bihuan_cli.cards.page import card_page
from bihuan_cli.cards.plots import Frame, bar_plot, line_plot
from bihuan_scoring.forward import curves
from bihuan_scoring.model_card import ModelCard, ResponseCard

EVIL = '<script>alert("x")</script>&'


class _Tags(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []
        self.references: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.names.append(tag)
        self.references += [value or "" for name, value in attrs if name in {"src", "href", "data", "action"}]


def _card() -> ModelCard:
    random = np.random.default_rng(1)
    probabilities = random.beta(1, 5, 800)
    labels = (random.random(800) < probabilities).astype(np.int64)
    importance = [{"feature": EVIL, "weight": 0.5, "gain": 0.25, "missing": 0.0}]
    importance.append({"feature": "rfm_recency_days", "weight": None, "gain": 0.75, "missing": 0.1})
    metrics = {"rows": 800.0, "positives": 130.0, "time_auc": 0.8, "time_auc_low": 0.75, "time_auc_high": 0.85}
    metrics |= {"time_ece": 0.04, "expected_late": 7.4}
    click = ResponseCard("click", metrics, {"forward": curves(probabilities, labels), "importance": importance})
    order = ResponseCard("order", {"rows": 130.0, "positives": 3.0, "rate": 0.02}, {})
    data = {"rows": 800, "persons": 400, "unknown_person_rows": 5, "withheld_rows": 6}
    data |= {"from_time_us": 0, "until_time_us": 1}
    return ModelCard("v1", 0, 0, "1", 76, "ab" * 32, data, {"seed": 7}, {"click.json": "cd" * 32}, [click, order])


def test_page_has_every_plot_and_says_what_it_rests_on() -> None:
    page = card_page(_card())
    titles = re.findall(r"<title>([^<]*)</title>", page)
    assert {"Reliability", "ROC", "Gains (lift)", "Distribution of probabilities", "Trees: share of gain"} <= set(
        titles
    )
    for said in ("ab" * 32, "1970-01-01T00:00:00", "TARGETING", "consent", "Intended use", "0.7500 to 0.8500", "400"):
        assert said in page


def test_page_loads_nothing_and_runs_nothing() -> None:
    page = card_page(_card())
    tags = _Tags()
    tags.feed(page)
    assert not {"script", "link", "img", "iframe", "object"} & set(tags.names)
    assert tags.references == []
    assert "http" not in page.replace("http-equiv", "")


def test_names_are_escaped_everywhere() -> None:
    card = _card()
    evil = replace(card, model_version=EVIL, config={EVIL: EVIL}, files={EVIL: EVIL}, data_sha256=EVIL)
    for page in (card_page(evil), bar_plot(EVIL, [(EVIL, 1.0)]), line_plot(Frame(EVIL, EVIL, EVIL), [(0.0, 1.0)])):
        assert "<script" not in page
        assert "&lt;script&gt;" in page


def test_limits_follow_from_the_figures() -> None:
    limits = " ".join(_card().limits)
    for said in ("only 130 outcomes", "off by 0.040", "7 outcomes are expected", "same smoothed rate"):
        assert said in limits


def test_version_without_curves_has_a_card_all_the_same() -> None:
    bare = replace(_card(), responses=[ResponseCard("click", {"cv_auc": 0.7}, {})], data={})
    page = card_page(bare)
    assert "<svg" not in page
    assert "0.7" in page
