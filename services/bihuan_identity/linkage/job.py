"""The linkage of one or two files, from reading to clusters."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bihuan_identity.linkage.blocking import CountedRule, choose_rules, training_rules
from bihuan_identity.linkage.calibrating import choose_threshold, expected_f1
from bihuan_identity.linkage.clustering import Candidate, clusters_of, one_to_one
from bihuan_identity.linkage.engines import Engine
from bihuan_identity.linkage.model import LinkageModel, Scored
from bihuan_identity.linkage.order import LinkageOrder, check_order
from bihuan_identity.linkage.records import RecordReader, Records
from bihuan_identity.linkage.spec import LinkageSpec, infer_spec, read_spec
from bihuan_shared.errors import FailedPrecondition, InvalidArgument

STAGES: Final = ("reading", "choosing blocks", "training", "scoring", "clustering")
FEWEST_TRAINING_RULES: Final = 2


@dataclass(frozen=True, slots=True)
class Linkage:
    """What was found. `links` are the candidates that count; `clusters` gives every record its cluster, by number."""

    spec: LinkageSpec
    records: Records
    rules: tuple[CountedRule, ...]
    scored: Scored
    threshold: float
    links: tuple[Candidate, ...]
    clusters: tuple[int, ...]

    def expected_precision(self) -> float:
        """How many of the links are right, as far as they promise; 1 where there are none."""
        return sum(link.probability for link in self.links) / len(self.links) if self.links else 1.0

    def expected_f1(self) -> float:
        """The F1 of the links, as far as the candidates promise."""
        return expected_f1([candidate.probability for candidate in self.scored.candidates], self.threshold)


def link_files(order: LinkageOrder, engine: Engine, say: Callable[[str], None] = lambda _: None) -> Linkage:
    """
    Read, choose blocks, train, score, cluster; `say` is told the name of each stage as it begins.

    Raises InvalidArgument that names the field or column at fault, and FailedPrecondition where nothing can be learnt
    from the records.
    """
    check_order(order)
    with tempfile.TemporaryDirectory(prefix="bihuan-linkage-", dir=order.work_dir) as folder:
        say("reading")
        spec, records = _read(order, Path(folder))
        say("choosing blocks")
        frames = engine.load(records.prepared)
        rules = choose_rules(frames, spec, len(records.ids))
        say("training")
        model = LinkageModel(frames, spec.columns, [rule.columns for rule in rules])
        model.train(_training_rules(rules), order.seed)
        say("scoring")
        scored = model.score(_all_pairs(records))
    say("clustering")
    return _conclude(order, spec, records, rules, scored)


def _read(order: LinkageOrder, folder: Path) -> tuple[LinkageSpec, Records]:
    reader = RecordReader(order.files)
    try:
        for name in order.excluded:
            if name not in reader.columns:
                raise InvalidArgument.of("exclude", f"{name!r} is not a column of the files")
        names = [name for name in reader.columns if name not in order.excluded]
        spec = infer_spec(names) if order.spec_path is None else read_spec(order.spec_path, names)
        return spec, reader.prepare(spec.columns, folder)
    finally:
        reader.close()


def _training_rules(rules: Sequence[CountedRule]) -> tuple[tuple[str, ...], ...]:
    chosen = training_rules(rules)
    if len(chosen) < FEWEST_TRAINING_RULES:
        raise FailedPrecondition("too few records agree on anything to learn from them what a match looks like")
    return chosen


def _all_pairs(records: Records) -> float:
    second = sum(records.sources)
    first = len(records.sources) - second
    return first * second if second else max(first * (first - 1) / 2, 1)


def _conclude(
    order: LinkageOrder, spec: LinkageSpec, records: Records, rules: tuple[CountedRule, ...], scored: Scored
) -> Linkage:
    candidates: Sequence[Candidate] = scored.candidates
    if order.one_to_one:
        candidates = one_to_one(candidates, records.sources)
    threshold = order.min_confidence
    if threshold is None:
        threshold = choose_threshold([item.probability for item in candidates], order.wanted_precision)
    links = tuple(sorted(item for item in candidates if item.probability >= threshold))
    return Linkage(spec, records, rules, scored, threshold, links, tuple(clusters_of(len(records.ids), links)))
