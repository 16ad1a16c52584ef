"""
Evaluating an expression over sets of everyone.

Combining large sets costs the same whatever they hold, and combining small ones what they hold, but to make a small set
of large ones costs many times as much, as its members have to be listed. So what large sets have in common is found as
what any of the others has, which is large, and where one of the sets holds few, all else is looked at among those only.
"""

from collections.abc import Sequence
from math import prod
from typing import Final

from bihuan_shared.targeting.expression import Expression
from bihuan_shared.targeting.planning import Common, Known, Range, Term, planned, union_of
from bihuan_shared.targeting.populations import Population, Set

_FEW: Final = 16
"""One in so many persons is few; a Roaring bitmap lists them from there on."""


def members(expression: Expression, population: Population[Set]) -> Set:
    """
    Everyone who fits a checked expression: those of whom `evaluate` says so.

    The set may be one of the population's own, so it must not be changed.
    """
    found = _resolved(planned(expression, population), population, None)
    return population.everyone() - found.members if found.without else found.members


def _resolved(term: Term[Set], population: Population[Set], among: Set | None) -> Known[Set]:
    """The set of a term; where `among` is given it is right of those only."""
    match term:
        case Known(members, without):
            return term if among is None else Known(members & among, without)
        case Range(operand, span, without):
            return Known(population.numbers(operand, span, among), without)
        case Common(terms, without):
            one = _in_common(terms, population, among)
            return Known(one.members, one.without is not without)


def _in_common(terms: Sequence[Term[Set]], population: Population[Set], among: Set | None) -> Known[Set]:
    few = _fewest(terms, population, among)
    if few is not None:
        return Known(_among(few, terms, population))
    later = [term for term in terms if isinstance(term, Range) and term.without]
    found = [_resolved(term, population, None) for term in terms if not (isinstance(term, Range) and term.without)]
    wanted = sorted((one.members for one in found if not one.without), key=len)
    unwanted = [one.members for one in found if one.without]
    everyone = population.everyone()
    if len(wanted) > 1 and _expected(wanted, len(everyone)) * _FEW <= 1:
        none = everyone - wanted[0]
        # It is nobody else's, so it is added to in place.
        for other in wanted[1:]:
            none |= everyone - other
        for other in unwanted:
            none |= other
        return Known(_among(everyone - none, later, population)) if later else Known(none, without=True)
    unwanted += [_resolved(term, population, None).members for term in later]
    if not wanted:
        return Known(union_of(unwanted), without=True)
    left = wanted[0]
    for other in wanted[1:]:
        left = left & other
    for other in unwanted:
        left = left - other
    return Known(left)


def _fewest(terms: Sequence[Term[Set]], population: Population[Set], among: Set | None) -> Set | None:
    """The smallest set that is wanted, where it holds few."""
    sets = [term.members for term in terms if isinstance(term, Known) and not term.without]
    smallest = min((*sets, *(() if among is None else (among,))), key=len, default=None)
    return smallest if smallest is not None and len(smallest) * _FEW <= len(population.everyone()) else None


def _among(few: Set, terms: Sequence[Term[Set]], population: Population[Set]) -> Set:
    """Who of a few fits all terms: sets first, then ranges."""
    left, everyone = few, len(population.everyone())
    for term in sorted(terms, key=lambda one: _KINDS.index(type(one))):
        if not left:
            break
        # Sets need not be cut to those few before they are compared with them.
        found = term if isinstance(term, Known) else _resolved(term, population, left)
        if found.without or (found.members is not few and len(found.members) < everyone):
            left = left - found.members if found.without else left & found.members
    return left


_KINDS: Final = (Known, Range, Common)


def _expected(sets: Sequence[Set], everyone: int) -> float:
    """The share of everyone who is in all sets, if these have nothing to do with one another."""
    return prod(len(one) / everyone for one in sets) if everyone else 0.0
