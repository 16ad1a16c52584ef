"""Keys, partners and persons in memory, for what partners may do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bihuan_identity.domain.partners import Partner, PartnerRegistry
from bihuan_identity.domain.pseudonyms import MasterKey, PseudonymKeys
from bihuan_identity.use_cases.pseudonyms import PersonStanding, Pseudonyms
from bihuan_shared.clock import DAY_US

START_US = 20_000 * DAY_US
ROTATION_US = START_US + 100 * DAY_US
FIRST = MasterKey(1, START_US, bytes(range(32)))
SECOND = MasterKey(2, ROTATION_US, bytes(range(32, 64)))
PARTNERS = PartnerRegistry(
    [
        Partner("dsp", may_receive_tokens=True, may_match=True),
        Partner("shop", may_receive_tokens=True),
        Partner("counter", may_match=True),
        Partner("gone", may_receive_tokens=True, may_match=True, revoked=True),
        Partner("leaky", may_receive_tokens=True, revoked_before_epoch=2),
    ]
)


@dataclass
class MemoryPersons:
    """Persons up to `last`, with aliases and erasures; counts what it is asked."""

    last: int = 10
    aliases: dict[int, int] = field(default_factory=dict)
    withdrawn: set[int] = field(default_factory=set)
    queries: int = 0

    async def standing(self, person_ids: Sequence[int]) -> Mapping[int, PersonStanding]:
        self.queries += 1
        stands_for = {one: self.aliases.get(one, one) for one in person_ids if one <= self.last}
        return {one: PersonStanding(person, person in self.withdrawn) for one, person in stands_for.items()}


def pseudonyms(directory: MemoryPersons | None = None, *keys: MasterKey) -> Pseudonyms:
    """What the use cases work with; one key unless told otherwise."""
    return Pseudonyms(PseudonymKeys(keys or (FIRST,)), PARTNERS, directory or MemoryPersons())
