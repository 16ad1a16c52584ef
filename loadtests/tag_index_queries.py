"""What is asked of the tag index and of DuckDB: expressions of the targeting language, and the same in SQL."""

from collections.abc import Mapping
from typing import Final

MIXED: Final = "mixed"
"""The expression of 10 tags, in which everything is met."""

QUERIES: Final[Mapping[str, tuple[str, str]]] = {
    MIXED: (
        (
            '(gender == "f" and age in 25..34 and interest("skincare") > 0.25 and not segment("lapsed")) '
            'or (member and region in ["r3", "r7"] and spend >= 120 and not interest("shoes") > 0.5) '
            'or (device == "tv" and language != "en")'
        ),
        (
            "(gender = 0 AND age BETWEEN 25 AND 34 AND skincare > 0.25 AND NOT lapsed) "
            "OR (member AND region IN (3, 7) AND coalesce(spend >= 120, false) AND NOT coalesce(shoes > 0.5, false)) "
            "OR (device = 3 AND language <> 0)"
        ),
    ),
    "and": (
        'gender == "f" and device == "phone" and member and segment("lapsed")',
        "gender = 0 AND device = 0 AND member AND lapsed",
    ),
    "or": (
        'region in ["r3", "r7"] or device == "tv" or segment("lapsed") or language == "de"',
        "region IN (3, 7) OR device = 3 OR lapsed OR language = 4",
    ),
    "not": (
        'not segment("lapsed") and not device == "phone" and language != "en" and not (member or gender == "x")',
        "NOT lapsed AND device <> 0 AND language <> 0 AND NOT (member OR gender = 2)",
    ),
    "range": (
        "age in 30..49 and spend >= 20 and spend < 200",
        "age BETWEEN 30 AND 49 AND spend >= 20 AND spend < 200",
    ),
    "interest": (
        'interest("skincare") > 0.25 and not interest("shoes") > 0.5',
        "skincare > 0.25 AND NOT coalesce(shoes > 0.5, false)",
    ),
}
