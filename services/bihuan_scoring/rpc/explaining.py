"""Why a person is in an audience, on the wire."""

from bihuan.scoring.v1 import audience_pb2
from bihuan_scoring.use_cases.membership import Membership
from bihuan_shared.targeting import Holds, Reason

_OUTCOMES = {
    Holds.YES: audience_pb2.CONDITION_OUTCOME_HOLDS,
    Holds.NO: audience_pb2.CONDITION_OUTCOME_FAILS,
    Holds.UNKNOWN: audience_pb2.CONDITION_OUTCOME_UNKNOWN,
}


def membership_message(found: Membership) -> audience_pb2.ExplainMembershipResponse:
    """The whole answer."""
    return audience_pb2.ExplainMembershipResponse(
        matches=found.why.matches,
        outcome=_OUTCOMES[found.why.outcome],
        member=found.member,
        expression=found.expression,
        reasons=[_reason(reason) for reason in found.why.reasons],
    )


def _reason(reason: Reason) -> audience_pb2.ConditionReason:
    message = audience_pb2.ConditionReason(text=reason.text, column=reason.column, outcome=_OUTCOMES[reason.holds])
    match reason.value:
        case bool():
            message.flag = reason.value
        case str():
            message.text_value = reason.value
        case None:
            pass
        case _:
            message.number = reason.value
    return message
