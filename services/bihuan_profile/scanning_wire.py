"""Scans on the wire."""

from collections.abc import AsyncIterator

from bihuan.profile.v1 import profile_pb2
from bihuan_profile.use_cases.scanning import Scan
from bihuan_profile.wire import fill_profile, person_id_of
from bihuan_shared.clock import Clock, to_timestamp


async def scan_responses(
    scan: Scan, request: profile_pb2.ScanProfilesRequest, clock: Clock
) -> AsyncIterator[profile_pb2.ScanProfilesResponse]:
    """Every profile, or those that are asked for; each part holds as of when it is told."""
    wanted = [person_id_of(person) for person in request.persons]
    async for records in scan.some(wanted) if wanted else scan.everyone():
        now_us = clock.now_us()
        response = profile_pb2.ScanProfilesResponse(read_time=to_timestamp(now_us))
        for one in scan.told(records, now_us):
            message = response.profiles.add()
            fill_profile(message, one.person_id, one.view)
            if one.next_change_us is not None:
                message.next_change_time.CopyFrom(to_timestamp(one.next_change_us))
        yield response
