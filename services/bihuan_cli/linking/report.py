"""What a run found, as tables for people and as one JSON object for machines."""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group
from rich.table import Table

from bihuan_cli.linking.evidence import Refusal, Telling

if TYPE_CHECKING:
    from bihuan_identity.linkage.job import Linkage
    from bihuan_identity.linkage.judging import Score
    from bihuan_identity.linkage.verdict import Verdict

BANDS: Final = ((0.999, 1.0), (0.99, 0.999), (0.9, 0.99), (0.7, 0.9), (0.5, 0.7), (0.1, 0.5), (0.01, 0.1))
ROWS_SHOWN: Final = 20


def summarise(
    linkage: "Linkage", verdict: "Verdict | None", refused: list[Refusal], telling: Telling | None
) -> dict[str, object]:
    """Everything that a run found, in plain values; `telling` is None where nothing was sent."""
    records = linkage.records
    everything = [*refused, *(telling.refused if telling else ())]
    return {
        "records": len(records.ids),
        "compared_pairs": linkage.scored.compared,
        "expected_matches": round(linkage.scored.expected_matches, 1),
        "model": linkage.scored.digest,
        "columns": {column.source: column.kind.value for column in linkage.spec.columns},
        "blocking": [{"columns": list(rule.columns), "pairs": rule.pairs} for rule in linkage.rules],
        "threshold": linkage.threshold,
        "links": len(linkage.links),
        "expected_precision": round(linkage.expected_precision(), 6),
        "expected_f1": round(linkage.expected_f1(), 6),
        "bands": _bands(linkage),
        "clusters": _clusters(linkage),
        "truth": _truth(verdict),
        "rejected_rows": [asdict(row) for row in records.rejected],
        "rejected_links": [asdict(refusal) for refusal in everything],
        "sent": telling.sent if telling else 0,
        "quarantined": telling.quarantined if telling else 0,
        "merged_persons": telling.merged_persons if telling else 0,
    }


def _bands(linkage: "Linkage") -> list[dict[str, object]]:
    chances = [candidate.probability for candidate in linkage.scored.candidates]
    linked = Counter(link.probability for link in linkage.links)
    rows: list[dict[str, object]] = []
    for low, high in BANDS:
        inside = [chance for chance in chances if low <= chance and (chance < high or high == BANDS[0][1])]
        sent = sum(
            count for chance, count in linked.items() if low <= chance and (chance < high or high == BANDS[0][1])
        )
        rows.append({"from": low, "to": high, "pairs": len(inside), "expected_right": sum(inside), "linked": sent})
    return rows


def _clusters(linkage: "Linkage") -> dict[str, object]:
    sizes = Counter(Counter(linkage.clusters).values())
    return {
        "persons": sum(sizes.values()),
        "of_one_record": sizes[1],
        "by_size": {str(size): sizes[size] for size in sorted(sizes)},
        "largest": max(sizes),
    }


def _truth(verdict: "Verdict | None") -> dict[str, object] | None:
    if verdict is None:
        return None
    return {
        "records": verdict.records,
        "links": _score(verdict.links),
        "clusters": _score(verdict.clusters),
        "b_cubed": _score(verdict.b_cubed),
        "calibration_error": verdict.calibration_error,
        "calibration": [asdict(band) for band in verdict.bands],
    }


def _score(score: "Score") -> dict[str, float]:
    return {"precision": score.precision, "recall": score.recall, "f1": score.f1}


def show(console: Console, linkage: "Linkage", verdict: "Verdict | None", telling: Telling | None) -> None:
    """Print the tables."""
    console.print(_found(linkage))
    if verdict is not None:
        console.print(Group(_judged(verdict), _calibrated(verdict)))
    if telling is not None:
        merged = f"{telling.merged_persons:,} persons merged, {telling.quarantined:,} links quarantined"
        console.print(f"told identity of {telling.sent:,} links: {merged}")


def show_rejected(console: Console, linkage: "Linkage", refused: list[Refusal]) -> None:
    """Print rows and links that came to nothing, the first twenty of each."""
    rows = linkage.records.rejected
    for row in rows[:ROWS_SHOWN]:
        console.print(f"[yellow]not used:[/] {row.file} row {row.row} {row.reason}", highlight=False)
    for refusal in refused[:ROWS_SHOWN]:
        where = " and ".join(f"{row.file} row {row.row}" for row in refusal.rows)
        console.print(f"[yellow]not linked:[/] {where}: {refusal.reason}", highlight=False)
    hidden = max(0, len(rows) - ROWS_SHOWN) + max(0, len(refused) - ROWS_SHOWN)
    if hidden:
        console.print(f"… and {hidden:,} more; --json lists all")


def _found(linkage: "Linkage") -> Group:
    bands = Table("confidence", "pairs", "expected right", "linked", title="Pairs")
    for row in _bands(linkage):
        bands.add_row(
            f"{row['from']} to {row['to']}", f"{row['pairs']:,}", f"{row['expected_right']:,.1f}", f"{row['linked']:,}"
        )
    clusters = Counter(Counter(linkage.clusters).values())
    sizes = Table("records of one person", "persons", title="Clusters")
    for size in sorted(clusters):
        sizes.add_row(str(size), f"{clusters[size]:,}")
    found = f"{len(linkage.records.ids):,} records, {linkage.scored.compared:,} pairs compared"
    linked = f"{len(linkage.links):,} links from confidence {linkage.threshold:.4f} on"
    expected = f"expected precision {linkage.expected_precision():.4f}, F1 {linkage.expected_f1():.4f}"
    return Group(bands, sizes, f"{found}, {linked}; {expected}")


def _judged(verdict: "Verdict") -> Table:
    table = Table("judged by", "precision", "recall", "F1", title="Against the truth")
    for name, score in (("links", verdict.links), ("clusters", verdict.clusters), ("B-cubed", verdict.b_cubed)):
        table.add_row(name, f"{score.precision:.4f}", f"{score.recall:.4f}", f"{score.f1:.4f}")
    return table


def _calibrated(verdict: "Verdict") -> Table:
    table = Table("confidence", "pairs", "promised", "true", title=f"Calibration error {verdict.calibration_error:.4f}")
    for band in verdict.bands:
        table.add_row(
            f"{band.low} to {band.high}", f"{band.count:,}", f"{band.mean_probability:.3f}", f"{band.true_share:.3f}"
        )
    return table
