"""Brand behaviour stands for an expression over what profiles tell, with the windows that those have."""

from typing import get_args

import pytest

from bihuan_profile.domain.aipl import BOUGHT_DAYS as PROFILE_BOUGHT_DAYS
from bihuan_profile.domain.aipl import AWARE_DAYS, AiplStage, aipl
from bihuan_profile.domain.bond import Bond
from bihuan_profile.domain.decay import LONG_HALF_LIFE_US
from bihuan_profile.domain.relation import FORGOTTEN_DAYS, RelationStage, relation
from bihuan_profile.domain.relation import RECENT_DAYS as PROFILE_RECENT_DAYS
from bihuan_scoring.domain.brand_behaviour import (
    BOUGHT_DAYS,
    INTEREST_HALF_LIFE_DAYS,
    RECENT_DAYS,
    REMEMBERED_DAYS,
    WINDOWS,
    BehaviourKind,
    BrandBehaviour,
)
from bihuan_scoring.domain.facts import PersonFacts
from bihuan_scoring.use_cases.expression_facts import ExpressionFacts
from bihuan_scoring.use_cases.lookup import MemberLookup
from bihuan_shared.clock import DAY_US
from bihuan_shared.errors import InvalidArgument
from bihuan_shared.profile_segments import aipl_segment, relation_segment
from bihuan_shared.targeting import canonical, check, evaluate, parse, references

K = BehaviourKind
