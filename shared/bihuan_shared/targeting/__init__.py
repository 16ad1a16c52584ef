"""
The targeting language: a small typed language over what is known of a person.

`gender == "f" and age in 25..34 and interest("skincare") > 0.3 and not audience("bought_90d")`

An expression is parsed once, checked against the taxonomy, and then evaluated for one person at a time, or for
everyone at once over sets of persons; both say the same. Every error names the column.
"""

from bihuan_shared.targeting.checking import TagType, check
from bihuan_shared.targeting.evaluation import Facts, Value, evaluate
from bihuan_shared.targeting.explaining import Holds, Reason, Why, explain
from bihuan_shared.targeting.expression import (
    And,
    Attribute,
    Comparison,
    Constant,
    Expression,
    InAudience,
    InSegment,
    InstantInterest,
    Interest,
    Literal,
    Not,
    OneOf,
    Operand,
    Operator,
    Or,
    Within,
)
from bihuan_shared.targeting.finding import members
from bihuan_shared.targeting.invalid import ExpressionInvalid
from bihuan_shared.targeting.meaning import meaning
from bihuan_shared.targeting.namespaces import is_private_name, namespace_in, namespace_of
from bihuan_shared.targeting.parsing import MAX_BYTES, MAX_DEPTH, MAX_NODES, RESERVED_WORDS, parse
from bihuan_shared.targeting.populations import Population, Span
from bihuan_shared.targeting.references import References, audiences_of, references
from bihuan_shared.targeting.text import canonical

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "MAX_NODES",
    "RESERVED_WORDS",
    "And",
    "Attribute",
    "Comparison",
    "Constant",
    "Expression",
    "ExpressionInvalid",
    "Facts",
    "Holds",
    "InAudience",
    "InSegment",
    "InstantInterest",
    "Interest",
    "Literal",
    "Not",
    "OneOf",
    "Operand",
    "Operator",
    "Or",
    "Population",
    "Reason",
    "References",
    "Span",
    "TagType",
    "Value",
    "Why",
    "Within",
    "audiences_of",
    "canonical",
    "check",
    "evaluate",
    "explain",
    "is_private_name",
    "meaning",
    "members",
    "namespace_in",
    "namespace_of",
    "parse",
    "references",
]
