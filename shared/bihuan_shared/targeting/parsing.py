"""From text to expression."""

from collections.abc import Iterable
from functools import cache
from typing import Final, cast

from lark import Lark, Token, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from bihuan_shared.targeting.building import Part, TreeBuilder
from bihuan_shared.targeting.expression import Expression
from bihuan_shared.targeting.invalid import ExpressionInvalid

MAX_BYTES: Final = 4_096
"""Length of the text, in UTF-8."""
MAX_DEPTH: Final = 64
"""How deep terms and parentheses may nest."""
MAX_NODES: Final = 512
"""How many terms, conditions and listed values there may be."""

RESERVED_WORDS: Final = frozenset(
    {"and", "or", "not", "in", "true", "false", "audience", "segment", "interest", "instant_interest"}
)
"""What cannot be the name of an attribute."""

_GRAMMAR: Final = r"""
    ?start: disjunction
    ?disjunction: conjunction ("or" conjunction)+   -> disjunction
                | conjunction
    ?conjunction: negation ("and" negation)+        -> conjunction
                | negation
    ?negation: "not" negation                       -> negation
             | condition
    ?condition: "(" disjunction ")"                 -> parenthesised
              | flag                                -> constant
              | "audience" "(" STRING ")"           -> audience
              | "segment" "(" STRING ")"            -> segment
              | NAME                                -> bare_attribute
              | operand OPERATOR literal            -> comparison
              | operand IN number _RANGE number       -> within
              | operand IN "[" literal ("," literal)* "]" -> one_of
    ?operand: NAME                                  -> attribute
            | "interest" "(" STRING ")"             -> interest
            | "instant_interest" "(" STRING ")"     -> instant_interest
    ?literal: number | text | flag
    number: NUMBER
    text: STRING
    flag: TRUE | FALSE

    TRUE: "true"
    FALSE: "false"
    IN: "in"
    _RANGE: ".."
    OPERATOR: "==" | "!=" | "<=" | ">=" | "<" | ">"
    NAME: /[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)?/
    NUMBER: /-?[0-9]+(?:\.[0-9]+)?/
    STRING: /"(?:[^"\\\x00-\x1f]|\\["\\])*"/
    %import common.WS
    %ignore WS
"""

_READABLE: Final = {
    "NAME": "a name",
    "NUMBER": "a number",
    "STRING": 'a text in "quotes"',
    "OPERATOR": "a comparison (==, !=, <, <=, >, >=)",
    "TRUE": "true",
    "FALSE": "false",
    "IN": "'in'",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "COMMA": "','",
    "_RANGE": "'..'",
    "$END": "the end",
}


def parse(text: str) -> Expression:
    """
    The expression that a text says, its types not yet checked.

    Precedence is `not`, `and`, `or`; a bare name means `== true`. ExpressionInvalid, with the column, where the text
    does not parse, is longer than `MAX_BYTES` in UTF-8, nests deeper than `MAX_DEPTH` or has more than `MAX_NODES`
    conditions and listed values.
    """
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise ExpressionInvalid(1, f"expected at most {MAX_BYTES} bytes")
    try:
        part = cast("Part", _parser().parse(text))
    except UnexpectedInput as error:
        raise _invalid(error, text) from None
    if part.depth > MAX_DEPTH:
        raise ExpressionInvalid(1, f"expected at most {MAX_DEPTH} levels of nesting, found {part.depth}")
    if part.size > MAX_NODES:
        raise ExpressionInvalid(1, f"expected at most {MAX_NODES} conditions and values, found {part.size}")
    return part.expression


@cache
def _parser() -> Lark:
    # The basic lexer, as the contextual one would read `andx` as `and x`. The tree is built during the parse.
    return Lark(_GRAMMAR, parser="lalr", lexer="basic", transformer=TreeBuilder())


def _invalid(error: UnexpectedInput, text: str) -> ExpressionInvalid:
    """The error in words: what could have stood there, and what does."""
    if isinstance(error, UnexpectedCharacters):
        position = cast("int", error.pos_in_stream)
        found = text[position]
        problem = "expected a text closed by a quote" if found == '"' else f"expected a word or sign, found {found!r}"
        return ExpressionInvalid(position + 1, problem)
    assert isinstance(error, UnexpectedToken)
    token: Token = error.token
    expected = _one_of(error.accepts or error.expected)
    if token.type == "$END":
        return ExpressionInvalid(len(text) + 1, f"expected {expected}, found the end")
    return ExpressionInvalid((token.start_pos or 0) + 1, f"expected {expected}, found {token.value!r}")


def _one_of(terminals: Iterable[str]) -> str:
    names = sorted(_READABLE.get(name, f"'{name.lower()}'") for name in terminals)
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} or {names[-1]}"
