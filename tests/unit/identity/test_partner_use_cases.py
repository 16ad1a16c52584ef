"""What partners are given, and what stops."""

import pytest

from bihuan_identity.domain.partners import Partner, PartnerRegistry
from bihuan_identity.domain.pseudonyms import OVERLAP_US, PseudonymStatus
from bihuan_identity.use_cases.pseudonyms import (
    OwnPersonTokens,
    Pseudonyms,
    ResolvedPseudonym,
    issue_pseudonyms,
    resolve_pseudonyms,
)
from bihuan_shared.clock import FixedClock
from bihuan_shared.errors import FailedPrecondition, NotFound, PermissionDenied
from bihuan_shared.person_tokens import TokenHolder, TokenStatus
from tests.unit.identity.partner_fakes import FIRST, ROTATION_US, SECOND, START_US, MemoryPersons, pseudonyms


async def token_of(made: Pseudonyms, person_id: int, partner: str = "dsp", now_us: int = START_US) -> str:
    (one,) = await issue_pseudonyms(made, partner, [person_id], now_us)
    assert one.status is PseudonymStatus.ISSUED
    return one.token


async def holder(made: Pseudonyms, token: str, partner: str = "dsp", now_us: int = START_US) -> ResolvedPseudonym:
    (one,) = await resolve_pseudonyms(made, partner, [token], now_us)
    return one


def status(resolved: ResolvedPseudonym) -> TokenStatus:
    return resolved.holder.status


async def test_a_batch_is_answered_in_order_by_one_query() -> None:
    persons = MemoryPersons(last=5_000, withdrawn={3})
    made = pseudonyms(persons)
    ids = [*range(1_000, 1, -1), 1_000, 9_999, 0, 2**63]
    issued = await issue_pseudonyms(made, "dsp", ids, START_US)
    assert persons.queries == 1
    by_id = dict(zip(ids, issued, strict=True))
    assert by_id[3].status is PseudonymStatus.WITHDRAWN
    assert [by_id[one].status for one in (9_999, 0, 2**63)] == [PseudonymStatus.UNKNOWN] * 3
    assert all(not by_id[one].token for one in (3, 9_999, 0, 2**63))

    given = {one: token for one, token in ((one, by_id[one].token) for one in by_id) if token}
    resolved = await resolve_pseudonyms(made, "dsp", list(given.values()), START_US)
    assert persons.queries == 2
    assert [one.holder for one in resolved] == [TokenHolder(one, TokenStatus.RESOLVED) for one in given]


async def test_an_absorbed_person_has_the_token_of_its_survivor_and_its_older_token_leads_there() -> None:
    persons = MemoryPersons()
    made = pseudonyms(persons)
    before = await token_of(made, 7)
    persons.aliases[7] = 2
    assert (await holder(made, before)).holder.person_id == 2
    assert await token_of(made, 7) == await token_of(made, 2) != before
    del persons.aliases[7]
    assert (await holder(made, before)).holder.person_id == 7, "a split gives the id back"


async def test_a_token_of_an_erased_person_is_withdrawn() -> None:
    persons = MemoryPersons()
    made = pseudonyms(persons)
    token = await token_of(made, 7)
    persons.withdrawn.add(7)
    assert (await holder(made, token)).holder == TokenHolder(0, TokenStatus.WITHDRAWN)
    persons.withdrawn.clear()
    persons.last = 6
    assert status(await holder(made, token)) is TokenStatus.WITHDRAWN


async def test_one_partners_token_is_invalid_for_another() -> None:
    made = pseudonyms()
    assert status(await holder(made, await token_of(made, 7, "shop"), "dsp")) is TokenStatus.INVALID


async def test_a_rotation_overlaps_by_90_days() -> None:
    made = pseudonyms(None, SECOND, FIRST)
    (old,) = await issue_pseudonyms(made, "dsp", [7], ROTATION_US - 1)
    assert (old.refresh_time_us, old.expire_time_us) == (ROTATION_US, ROTATION_US + OVERLAP_US)
    assert not (await holder(made, old.token, now_us=ROTATION_US - 1)).needs_refresh
    (new,) = await issue_pseudonyms(made, "dsp", [7], ROTATION_US)
    assert (new.refresh_time_us, new.expire_time_us) == (None, None)
    assert new.token != old.token

    overlapping = await holder(made, old.token, now_us=ROTATION_US + OVERLAP_US - 1)
    assert (overlapping.holder.person_id, overlapping.needs_refresh) == (7, True)
    assert status(await holder(made, old.token, now_us=ROTATION_US + OVERLAP_US)) is TokenStatus.EXPIRED
    assert status(await holder(made, new.token, now_us=ROTATION_US + OVERLAP_US)) is TokenStatus.RESOLVED


async def test_a_token_from_a_process_whose_clock_is_ahead_resolves() -> None:
    made = pseudonyms(None, SECOND, FIRST)
    ahead = await token_of(made, 7, now_us=ROTATION_US)
    assert await holder(made, ahead, now_us=ROTATION_US - 1) == ResolvedPseudonym(TokenHolder(7, TokenStatus.RESOLVED))


async def test_a_revoked_partner_gets_nothing_and_its_tokens_are_dead() -> None:
    made = pseudonyms()
    token = made.keys.seal("gone", 7, 1)
    assert status(await holder(made, token, "gone")) is TokenStatus.EXPIRED
    with pytest.raises(FailedPrecondition) as refused:
        await issue_pseudonyms(made, "gone", [7], START_US)
    assert refused.value.reason == "PARTNER_NOT_ALLOWED"


async def test_a_partners_tokens_of_one_epoch_can_be_revoked_alone() -> None:
    made = pseudonyms(None, SECOND, FIRST)
    lost = made.keys.seal("leaky", 7, 1)
    assert status(await holder(made, lost, "leaky", ROTATION_US)) is TokenStatus.EXPIRED
    assert status(await holder(made, made.keys.seal("dsp", 7, 1), "dsp", ROTATION_US)) is TokenStatus.RESOLVED
    with pytest.raises(FailedPrecondition):
        await issue_pseudonyms(made, "leaky", [7], ROTATION_US - 1)
    assert await token_of(made, 7, "leaky", ROTATION_US)


async def test_an_undeclared_partner_is_not_found() -> None:
    made = pseudonyms()
    with pytest.raises(NotFound):
        await issue_pseudonyms(made, "nobody", [7], START_US)
    with pytest.raises(NotFound):
        await resolve_pseudonyms(made, "nobody", [made.keys.seal("nobody", 7, 1)], START_US)


@pytest.mark.parametrize("partner", ["nobody", "gone", "counter", "leaky"])
async def test_who_may_get_no_tokens_is_not_admitted(partner: str) -> None:
    tokens = OwnPersonTokens(pseudonyms(), FixedClock(START_US))
    for refused in (tokens.admit(partner), tokens.issue(partner, [7])):
        with pytest.raises(PermissionDenied) as caught:
            await refused
        assert caught.value.reason == "PARTNER_NOT_ALLOWED"
        assert partner not in caught.value.detail


async def test_own_tokens_leave_out_who_has_none() -> None:
    tokens = OwnPersonTokens(pseudonyms(MemoryPersons(withdrawn={3})), FixedClock(START_US))
    await tokens.admit("dsp")
    issued = await tokens.issue("dsp", [2, 3, 99])
    assert list(issued) == [2]
    found = await tokens.resolve("dsp", [issued[2], "nonsense"])
    assert found == {issued[2]: TokenHolder(2, TokenStatus.RESOLVED), "nonsense": TokenHolder(0, TokenStatus.INVALID)}
    with pytest.raises(PermissionDenied):
        await tokens.resolve("nobody", ["nonsense"])


def test_a_declaration_allows_nothing_by_itself_and_names_differ() -> None:
    quiet = Partner("quiet")
    assert (quiet.may_match, quiet.may_receive_tokens) == (False, False)
    with pytest.raises(ValueError):
        PartnerRegistry([quiet, quiet])
