"""Messages of explanations."""

from bihuan.profile.v1 import profile_pb2
from bihuan_profile.domain.explaining import INSTANT_SUFFIX, Explanation, Value
from bihuan_shared.clock import format_rfc3339, to_timestamp

NEVER = "never"


def explanation_message(one: Explanation) -> profile_pb2.Explanation:
    """The message of one explanation; instants are RFC 3339, or `never`, and numbers have up to six digits."""
    message = profile_pb2.Explanation(
        subject=one.subject,
        value=one.value,
        rule=one.rule,
        source=one.source,
        evidence=[profile_pb2.Evidence(name=name, value=_text(name, value)) for name, value in one.evidence.items()],
    )
    if one.until_us is not None:
        message.until_time.CopyFrom(to_timestamp(one.until_us))
    return message


def _text(name: str, value: Value) -> str:
    if name.endswith(INSTANT_SUFFIX) and isinstance(value, int):
        return format_rfc3339(value) if value else NEVER
    return f"{value:.6g}" if isinstance(value, float) else str(value)
