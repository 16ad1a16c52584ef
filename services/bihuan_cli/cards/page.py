"""A model card as one HTML page: nothing is loaded from anywhere, and no script runs."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Final, cast

from bihuan_cli.cards.plots import Frame, Point, bar_plot, histogram_plot, interval_plot, line_plot
from bihuan_scoring.model_card import INTENDED_USE, PERMITTED_BY, ModelCard, ResponseCard
from bihuan_shared.clock import format_rfc3339

SHOWN_FEATURES: Final = 15
_TITLES: Final = {"click": "Click, given an impression", "order": "Order, given a click"}
_FIGURES: Final = (
    ("rows", "rows"),
    ("positives", "outcomes seen"),
    ("expected_late", "outcomes expected still to come"),
    ("rate", "smoothed rate of every row"),
    ("time_auc", "AUC, forward in time"),
    ("time_logloss", "log loss, forward in time"),
    ("time_ece", "calibration error, forward in time"),
    ("time_lift", "lift of the top tenth, forward in time"),
    ("time_rows", "rows judged forward in time"),
    ("cv_auc", "AUC, cross-validated over persons"),
    ("linear_cv_auc", "AUC of the linear model alone, cross-validated"),
    ("cv_logloss", "log loss, cross-validated"),
    ("rounds", "trees"),
    ("strength", "inverse regularisation of the linear model"),
    ("isotonic", "calibration is isotonic (1) or Platt's (0)"),
)
PAGE_STYLE: Final = (
    "body{font-family:sans-serif;max-width:1240px;margin:2em auto;padding:0 1em;color:#212529}"
    "table{border-collapse:collapse;margin:1em 0}td,th{border:1px solid #dee2e6;padding:.25em .7em;text-align:left}"
    "code{overflow-wrap:anywhere}svg{font-size:11px;fill:#343a40;background:#fff;max-width:100%}"
    ".plots{display:flex;flex-wrap:wrap;gap:1em}"
)
PAGE_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'"


def card_page(card: ModelCard) -> str:
    """The page; every text of the card is escaped."""
    version = escape(card.model_version)
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{escape(PAGE_POLICY)}">',
            f"<title>Model card: {version}</title><style>{PAGE_STYLE}</style></head><body>",
            f"<h1>Model card</h1><p><code>{version}</code></p>",
            _section("Intended use", _list(INTENDED_USE)),
            _section("Limits", _list(card.limits)),
            _section("Data", _table(_data_rows(card)) + "<h3>What allowed it</h3>" + _list(PERMITTED_BY)),
            *(_response(response) for response in card.responses),
            _section("Configuration", _table([(name, str(value)) for name, value in sorted(card.config.items())])),
            _section("Files (SHA-256)", _table(sorted(card.files.items()))),
            "</body></html>\n",
        ]
    )


def _data_rows(card: ModelCard) -> list[tuple[str, str]]:
    data = {name: int(str(value)) for name, value in card.data.items()}
    rows = [
        ("source", "decisions and events of the lake: advertisements that were shown, and what became of them"),
        ("cut-off (nothing later is known)", format_rfc3339(card.cut_off_time_us)),
        ("fingerprint (SHA-256 of the rows)", card.data_sha256),
        ("features", f"{card.feature_count}, version {card.feature_version}"),
    ]
    if data:
        rows += [
            ("asked for", f"{format_rfc3339(data['from_time_us'])} to {format_rfc3339(data['until_time_us'])}"),
            ("rows", f"{data['rows']:,}"),
            ("persons", f"{data['persons']:,}"),
            ("rows without a known person", f"{data['unknown_person_rows']:,}"),
            ("rows of which something was kept back", f"{data['withheld_rows']:,}"),
        ]
    return rows


def _response(response: ResponseCard) -> str:
    metrics = response.metrics
    rows = []
    for name, title in _FIGURES:
        if name in metrics:
            value = f"{metrics[name]:,.5g}"
            if f"{name}_low" in metrics:
                value += f" (95 %: {metrics[f'{name}_low']:.4f} to {metrics[f'{name}_high']:.4f})"
            rows.append((title, value))
    body = _table(rows)
    forward = cast("Mapping[str, object]", response.evaluation.get("forward", {}))
    if forward:
        body += f'<div class="plots">{_plots(forward)}</div>'
    importance = cast("Sequence[Mapping[str, object]]", response.evaluation.get("importance", ()))
    if importance:
        body += f'<div class="plots">{_importance(importance)}</div>'
    return _section(_TITLES[response.target], body)


def _plots(forward: Mapping[str, object]) -> str:
    bins = cast("Sequence[Mapping[str, float]]", forward["reliability"])
    points = [(one["predicted"], one["observed"]) for one in bins]
    intervals = [(one["low"], one["high"]) for one in bins]
    top = max(*(x for x, _ in points), *(high for _, high in intervals), 1e-6)
    spread = cast("Mapping[str, Sequence[float]]", forward["histogram"])
    counts = [int(count) for count in spread["counts"]]
    bars = Frame("Distribution of probabilities", "probability", "rows", spread["edges"][-1], max(1, *counts))
    return "".join(
        (
            interval_plot(Frame("Reliability", "predicted", "observed", top, top), points, intervals),
            line_plot(Frame("ROC", "false positives", "true positives"), _points(forward["roc"])),
            line_plot(Frame("Gains (lift)", "share of rows", "share of outcomes"), _points(forward["gains"])),
            histogram_plot(bars, spread["edges"], counts),
        )
    )


def _points(value: object) -> list[Point]:
    return [(x, y) for x, y in cast("Sequence[Sequence[float]]", value)]


def _importance(importance: Sequence[Mapping[str, object]]) -> str:
    weights = [(str(one["feature"]), float(str(one["weight"] or 0.0))) for one in importance]
    gains = [(str(one["feature"]), float(str(one["gain"]))) for one in importance]
    plots = [
        bar_plot("Linear part: log-odds of one standard deviation", _strongest(weights)),
        bar_plot("Trees: share of gain", _strongest(gains)),
    ]
    return "".join(plots)


def _strongest(bars: Iterable[tuple[str, float]]) -> list[tuple[str, float]]:
    told = [bar for bar in bars if bar[1]]
    return sorted(told, key=lambda bar: -abs(bar[1]))[:SHOWN_FEATURES]


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _list(texts: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(text)}</li>" for text in texts) + "</ul>"


def _table(rows: Iterable[tuple[str, str]]) -> str:
    return (
        "<table>"
        + "".join(f"<tr><th>{escape(name)}</th><td><code>{escape(value)}</code></td></tr>" for name, value in rows)
        + "</table>"
    )
