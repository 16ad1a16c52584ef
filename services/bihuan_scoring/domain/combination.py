"""Set algebra of audiences: who is in all of some, in any of others, and in none of a third kind."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce
from operator import and_, or_, sub
from typing import Final

from bihuan_shared.errors import InvalidArgument
from bihuan_shared.targeting import And, Expression, InAudience, Not, Or, canonical
from bihuan_shared.targeting.populations import Set

MAX_OPERANDS: Final = 20
"""Audiences that one combination may name."""
_FIELD: Final = "definition.combination"


@dataclass(frozen=True, slots=True)
class Combination:
    """
    Ids of audiences, sorted, each once in its list; `all_of` or `any_of` names one at the least.

    Union is `any_of` alone, intersection `all_of` alone, difference `all_of` less `none_of`.
    """

    all_of: tuple[str, ...] = ()
    any_of: tuple[str, ...] = ()
    none_of: tuple[str, ...] = ()

    @property
    def operands(self) -> frozenset[str]:
        """Every audience that it is made of."""
        return frozenset((*self.all_of, *self.any_of, *self.none_of))

    def normal(self) -> "Combination":
        """
        The same set, sorted, each id once a list.

        Raises InvalidArgument where it names too many, or nobody who could be in it.
        """
        if len(self.all_of) + len(self.any_of) + len(self.none_of) > MAX_OPERANDS:
            raise InvalidArgument.of(_FIELD, f"names at most {MAX_OPERANDS} audiences")
        if not self.all_of and not self.any_of:
            raise InvalidArgument.of(f"{_FIELD}.any_of", "all_of or any_of names one at the least")
        lists = (tuple(sorted(set(one))) for one in (self.all_of, self.any_of, self.none_of))
        return Combination(*lists)

    def field_of(self, audience_id: str) -> str:
        """The place of an operand, as errors name it."""
        lists = {"all_of": self.all_of, "any_of": self.any_of, "none_of": self.none_of}
        name = next(name for name, one in lists.items() if audience_id in one)
        return f"{_FIELD}.{name}[{lists[name].index(audience_id)}]"

    def expression(self) -> str:
        """What it says, as an expression in canonical form, so that it is explained like one."""
        terms: list[Expression] = [InAudience(one) for one in self.all_of]
        if self.any_of:
            either = tuple(InAudience(one) for one in self.any_of)
            terms.append(Or(either) if len(either) > 1 else either[0])
        terms += [Not(InAudience(one)) for one in self.none_of]
        return canonical(And(tuple(terms)) if len(terms) > 1 else terms[0])


def combined(of: Combination, sets: Mapping[str, Set]) -> Set:
    """
    The set that a combination stands for, of the sets of its operands; KeyError where one is missing.

    It may be one of the given sets itself, which the caller must not change.
    """
    found = [sets[one] for one in of.all_of]
    if of.any_of:
        found.append(reduce(or_, (sets[one] for one in of.any_of)))
    return reduce(sub, (sets[one] for one in of.none_of), reduce(and_, found))
