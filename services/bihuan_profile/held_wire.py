"""Messages of what is held about a person."""

import json
from collections.abc import Iterable

from bihuan.common.v1 import common_pb2
from bihuan.profile.v1 import profile_pb2
from bihuan_profile.domain.holding import Holding
from bihuan_shared.clock import to_timestamp


def export_response(holdings: Iterable[Holding]) -> profile_pb2.ExportProfileResponse:
    """One part of the answer to ExportProfile."""
    return profile_pb2.ExportProfileResponse(records=[_record(one) for one in holdings])


def _record(one: Holding) -> profile_pb2.HeldRecord:
    message = profile_pb2.HeldRecord(
        kind=one.kind,
        name=one.name,
        value_json=json.dumps(one.value, ensure_ascii=False),
        data_class=common_pb2.DataClass.ValueType(one.data_class),
        origin=one.origin,
        purposes=[common_pb2.Purpose.ValueType(purpose) for purpose in sorted(one.purposes)],
    )
    if one.time_us:
        message.time.CopyFrom(to_timestamp(one.time_us))
    if one.expire_us:
        message.expire_time.CopyFrom(to_timestamp(one.expire_us))
    return message
