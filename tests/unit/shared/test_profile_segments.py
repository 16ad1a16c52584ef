"""Segments that expressions can name, as the gateway and the builder of audiences see them."""

import pytest

from bihuan.profile.v1 import profile_pb2 as pb
from bihuan_gateway.data.domain.eligibility import PersonFacts
from bihuan_gateway.data.hops.profile import ServedProfile
from bihuan_scoring.profile_facts import audience_facts
from bihuan_shared.profile_segments import segments_of
from bihuan_shared.targeting import canonical, check, evaluate, parse

STAGES = ("potential", "weak", "strong", "long", "dormant")
BRAND = 'l\'oréal "paris" \\ 100%'


def profile(stage: int, aipl: int = 0, brand: str = BRAND) -> pb.Profile:
    relation = pb.Relation(brand=brand, stage=pb.RelationStage.ValueType(stage), aipl=pb.AiplStage.ValueType(aipl))
    return pb.Profile(person_id=1, segments=["lapsed"], relations=[relation])


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("other", STAGES)
def test_relation_is_named_in_an_expression_by_its_stage_and_brand(stage: str, other: str) -> None:
    served = profile(pb.RelationStage.Value(f"RELATION_STAGE_{stage.upper()}"))
    quoted = BRAND.replace("\\", "\\\\").replace('"', '\\"')
    expression = parse(f'segment("lapsed") and segment("relation:{other}:{quoted}")')
    check(expression, {})
    assert parse(canonical(expression)) == expression
    assert evaluate(expression, PersonFacts(ServedProfile(served))) is (stage == other)
    facts = audience_facts(served)
    assert facts is not None
    assert facts.segments == {"lapsed", f"relation:{stage}:{BRAND}"}


def test_aipl_stage_is_named_too_and_what_is_unknown_makes_no_segment() -> None:
    assert segments_of(profile(pb.RELATION_STAGE_STRONG, pb.AIPL_STAGE_LOYAL, "acme")) == {
        "lapsed",
        "relation:strong:acme",
        "aipl:loyal:acme",
    }
    assert segments_of(profile(99, 99)) == {"lapsed"}
    assert segments_of(pb.Profile()) == frozenset()


def test_nobody_is_in_the_segment_of_another_brand_or_without_a_profile() -> None:
    expression = parse('segment("relation:dormant:acme")')
    assert not evaluate(expression, PersonFacts(ServedProfile(profile(pb.RELATION_STAGE_DORMANT))))
    assert not evaluate(expression, PersonFacts(None))
    assert audience_facts(pb.Profile(empty=True)) is None
