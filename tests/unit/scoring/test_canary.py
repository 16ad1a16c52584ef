"""Who is scored by a canary, and what becomes of a request where one fails."""

import numpy as np
import pytest
from scoring_doubles import CANDIDATES, EchoModel, FailingModel

from bihuan_scoring.domain.facts import Context, PersonFacts, ScoreItem
from bihuan_scoring.domain.models import PRIOR_PCTR
from bihuan_scoring.use_cases import scoring
from bihuan_scoring.use_cases.comparing import Comparisons
from bihuan_scoring.use_cases.scoring import batch_score
from bihuan_scoring.use_cases.serving import PriorModel, Routes


def _people(count: int) -> list[ScoreItem]:
    return [
        ScoreItem(PersonFacts(n + 1, interests=[("category:0", 1.0 + n, 0.0)]), Context(0), (0, 1))
        for n in range(count)
    ]


@pytest.mark.parametrize("limits", [(4_096, 20_000), (0, 50)])
async def test_canary_answers_its_share_and_each_person_is_answered_by_one_version(
    limits: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scoring, "_INLINE_ROWS", limits[0])
    monkeypatch.setattr(scoring, "_CHUNK_ROWS", limits[1])
    items = _people(1_000)
    comparisons = Comparisons()
    scored = await batch_score(Routes(PriorModel(), EchoModel("m2"), 0.2), items, CANDIDATES, comparisons)
    assert 150 < len(scored.canaried) < 250
    assert (scored.model_version, scored.canary_version) == ("prior", "m2")
    pctr = scored.probabilities.pctr.reshape(-1, 2)
    for position in range(1_000):
        wanted = [np.log1p(1.0 + position), 0.0] if position in scored.canaried else [PRIOR_PCTR] * 2
        assert pctr[position] == pytest.approx(wanted)
    again = await batch_score(Routes(PriorModel(), EchoModel("m2"), 0.2), items[500:], CANDIDATES)
    assert again.canaried == {position - 500 for position in scored.canaried if position >= 500}


async def test_larger_share_keeps_everybody_and_another_canary_draws_others() -> None:
    async def drawn(name: str, share: float) -> frozenset[int]:
        return (await batch_score(Routes(PriorModel(), EchoModel(name), share), _people(1_000), CANDIDATES)).canaried

    small, large, other = await drawn("m2", 0.1), await drawn("m2", 0.3), await drawn("m3", 0.1)
    assert small < large
    assert len(small & other) < len(small) / 2


async def test_who_is_not_known_is_served_by_one_version_in_all_of_a_decision() -> None:
    def placements(time_us: int) -> list[ScoreItem]:
        return [ScoreItem(None, Context(time_us, placement_id=f"p{n}"), (0,)) for n in range(4)]

    items = [item for time_us in range(200) for item in placements(time_us)]
    canaried = (await batch_score(Routes(PriorModel(), EchoModel("m2"), 0.5), items, CANDIDATES)).canaried
    assert canaried == {4 * (position // 4) + n for position in canaried for n in range(4)}
    assert 200 < len(canaried) < 600


async def test_where_a_canary_fails_what_serves_everyone_answers_and_the_failure_is_noted() -> None:
    comparisons = Comparisons()
    routes = Routes(PriorModel(), FailingModel("m2"), 0.5)
    scored = await batch_score(routes, _people(10), CANDIDATES, comparisons)
    assert scored.probabilities.pctr.tolist() == [PRIOR_PCTR] * 20
    assert not scored.canaried
    assert comparisons.failure("m2") == "failure: RuntimeError"
    assert comparisons.news.is_set()


async def test_shadow_answers_nobody() -> None:
    comparisons = Comparisons()
    scored = await batch_score(Routes(PriorModel(), shadow=FailingModel("m2")), _people(10), CANDIDATES, comparisons)
    assert scored.probabilities.pctr.tolist() == [PRIOR_PCTR] * 20
    assert not scored.canaried
