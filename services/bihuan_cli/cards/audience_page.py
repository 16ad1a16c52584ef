"""An audience as one HTML page: no script, nothing loaded from elsewhere, every text escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from math import log2
from typing import Final

from bihuan.scoring.v1 import audience_pb2
from bihuan_cli.cards.page import PAGE_POLICY, PAGE_STYLE
from bihuan_cli.cards.plots import Frame, bar_plot, line_plot
from bihuan_shared.clock import format_rfc3339, to_us

SHOWN_BARS: Final = 25
_FIGURES: Final = {"auc": "held-out AUC"}


def audience_page(
    shown: audience_pb2.GetAudienceResponse, described: audience_pb2.DescribeAudienceResponse | None
) -> str:
    """The page; without a description it says that there is nothing to tell."""
    audience = shown.audience
    title = escape(audience.display_name or audience.audience_id)
    parts = [
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{escape(PAGE_POLICY)}">',
        f"<title>Audience: {title}</title><style>{PAGE_STYLE}</style></head><body>",
        f"<h1>{title}</h1><p><code>{escape(audience.audience_id)}</code></p>",
        _section("Size", _facts(audience)),
        _section("What sets it apart", _composition(described)),
    ]
    if shown.history:
        parts.append(_section("Versions", _versions(shown.history)))
    if shown.HasField("look_alike_evidence"):
        parts.append(_section("Look-alike", _look_alike(shown.look_alike_evidence)))
    return "\n".join([*parts, "</body></html>\n"])


def _facts(audience: audience_pb2.Audience) -> str:
    size = "too few persons to be told" if audience.size_below_floor else f"about {audience.told_size:,} persons"
    state = audience_pb2.AudienceState.Name(audience.state).removeprefix("AUDIENCE_STATE_").lower()
    rows = [
        ("size", size),
        ("state", state if audience.progress in {0.0, 1.0} else f"{state}, {audience.progress:.0%}"),
        ("advertiser", audience.advertiser_id),
        ("created", format_rfc3339(to_us(audience.create_time))),
    ]
    rows += [("expression", audience.expression)] if audience.expression else []
    rows += [("failure", audience.failure)] if audience.failure else []
    note = "<p>Counts carry noise that is the same for the same persons, and are told to the nearest ten.</p>"
    return _table((), rows) + note


def _versions(history: Sequence[audience_pb2.AudienceVersion]) -> str:
    rows = [
        (
            str(one.version),
            format_rfc3339(to_us(one.version_time)) if one.HasField("version_time") else "not known",
            "too few persons to be told" if one.below_floor else f"about {one.told_size:,}",
            audience_pb2.AudienceVersionCause.Name(one.cause).removeprefix("AUDIENCE_VERSION_CAUSE_").lower(),
        )
        for one in history
    ]
    return _table(("version", "since", "persons", "why"), rows)


def _composition(described: audience_pb2.DescribeAudienceResponse | None) -> str:
    if described is None:
        return "<p>The audience is not built yet, or too few of its members are known to tell.</p>"
    bars = [(tag.condition, log2(tag.index)) for tag in described.tags if tag.index > 0][:SHOWN_BARS]
    rows = [
        (
            tag.condition,
            f"{tag.member_count / described.known_member_count:.1%}",
            f"{tag.everyone_count / described.known_count:.1%}",
            f"{tag.index:.2f}",
        )
        for tag in described.tags
    ]
    about = (
        f"<p>About {described.known_member_count:,} members against {described.known_count:,} persons of whom anything"
        f" may be used for targeting. {described.hidden_tag_count:,} tags have too few persons to be told.</p>"
    )
    plot = bar_plot("Index, as powers of two: +1 is twice as often as among everyone", bars)
    return about + plot + _table(("condition", "in the audience", "among everyone", "index"), rows)


def _look_alike(evidence: audience_pb2.LookAlikeEvidence) -> str:
    rows = [
        ("seed", evidence.seed_audience_id),
        ("seeds with a profile", f"{evidence.seed_size:,}"),
        ("pool, seeds included", f"{evidence.pool_size:,}"),
        ("share of those who belong that the seed holds, at least", f"{evidence.label_frequency:.3f}"),
        *((_FIGURES.get(name, name), f"{value:.4g}") for name, value in sorted(evidence.figures.items())),
    ]
    lifts = [(f"{one.share:.0%}", f"{one.lift:.2f}", f"{one.low:.2f} to {one.high:.2f}") for one in evidence.lifts]
    dropped = [(one.feature, one.reason, f"{one.value:.3f}") for one in evidence.dropped]
    reasons = [(one.feature, one.contribution) for one in evidence.reasons]
    parts = [
        _table((), rows),
        _table(("best share of the pool", "held-out lift", "95 % interval"), lifts),
        f'<div class="plots">{_curves(evidence.curve)}</div>',
        bar_plot("What makes it alike: log-odds above the pool", reasons),
    ]
    if dropped:
        parts.append("<h3>Not used, since it gives the seed away</h3>")
        parts.append(_table(("feature", "why", "value"), dropped))
    return "".join(parts)


def _curves(curve: Sequence[audience_pb2.LookAlikeCurvePoint]) -> str:
    if not curve:
        return ""
    top = max(one.size for one in curve)
    precise = max(1e-6, *(one.precision for one in curve)) if len(curve) > 1 else max(1e-6, curve[0].precision)
    precision = Frame("Precision by size (upper estimate)", "persons", "precision", top, precise)
    recall = Frame("Recall by size", "persons", "share of held-out seeds", top)
    return line_plot(precision, [(one.size, one.precision) for one in curve], diagonal=False) + line_plot(
        recall, [(one.size, one.recall) for one in curve], diagonal=False
    )


def _section(title: str, body: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{body}</section>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "<tr>" + "".join(f"<th>{escape(name)}</th>" for name in heads) + "</tr>" if heads else ""
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table>{head}{body}</table>"
