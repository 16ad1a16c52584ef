"""The linkage model in Splink's terms. Nothing in it depends on an engine: it is turned into SQL when it runs."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

import splink.comparison_library as compare
from splink import SettingsCreator, block_on

from bihuan_identity.linkage.records import ID
from bihuan_identity.linkage.spec import ColumnKind, ComparedColumn

if TYPE_CHECKING:
    from splink.internals.comparison_creator import ComparisonCreator

ALIKE: Final = (0.92, 0.8)
"""Jaro-Winkler similarity of words that are surely, and that are perhaps, spellings of one another (Splink's own)."""

Rule = tuple[str, ...]


def comparison(column: ComparedColumn) -> "ComparisonCreator":
    """How two values of a column are compared; agreement on a rare value says more than on a frequent one."""
    name = column.name
    match column.kind:
        case ColumnKind.NAME | ColumnKind.TEXT:
            alike = compare.JaroWinklerAtThresholds(name, list(ALIKE))
            return alike.configure(term_frequency_adjustments=True)
        case ColumnKind.DATE:
            return compare.DamerauLevenshteinAtThresholds(name, [1, 2])
        case ColumnKind.CODE:
            close = compare.DamerauLevenshteinAtThresholds(name, [1])
            return close.configure(term_frequency_adjustments=True)
        case ColumnKind.CATEGORY:
            return compare.ExactMatch(name).configure(term_frequency_adjustments=True)


def model_settings(
    columns: Sequence[ComparedColumn], rules: Sequence[Rule], *, between_two_files: bool
) -> SettingsCreator:
    """The model before it is trained; `rules` generate the candidates."""
    return SettingsCreator(
        link_type="link_only" if between_two_files else "dedupe_only",
        unique_id_column_name=ID,
        comparisons=[comparison(column) for column in columns],
        blocking_rules_to_generate_predictions=[block_on(*rule) for rule in rules],
        retain_matching_columns=False,
        retain_intermediate_calculation_columns=False,
    )
