"""Between messages of social relations and the domain."""

import math
from collections.abc import Iterable

from bihuan.profile.v1 import profile_pb2
from bihuan_profile.domain.community import Edge
from bihuan_profile.use_cases.relating import Relating
from bihuan_profile.wire import consent_of, person_id_of
from bihuan_shared.clock import to_us
from bihuan_shared.errors import FieldViolation, InvalidArgument


def relations_of(edges: Iterable[profile_pb2.SocialEdge], now_us: int) -> list[Relating]:
    """Relations to take in; one without a time was seen now. Raises InvalidArgument naming every field at fault."""
    violations: list[FieldViolation] = []
    relations = []
    for index, message in enumerate(edges):
        person_id, other_id = person_id_of(message.person), person_id_of(message.other)
        if person_id == other_id:
            violations.append(FieldViolation(f"edges[{index}].other", "must be somebody else than person"))
        if not (math.isfinite(message.strength) and 0 <= message.strength <= 1):
            violations.append(FieldViolation(f"edges[{index}].strength", "must be between 0 and 1"))
        time_us = to_us(message.observe_time) if message.HasField("observe_time") else now_us
        edge = Edge(person_id, other_id, message.strength, time_us)
        relations.append(Relating(edge, consent_of(message.consent)))
    if violations:
        raise InvalidArgument(f"{violations[0].field}: {violations[0].description}", *violations)
    return relations
