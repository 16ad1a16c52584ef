"""What one does with an audience, on the wire: exporting and describing it."""

from collections.abc import AsyncIterator

from bihuan.scoring.v1 import audience_pb2
from bihuan_scoring.use_cases.describing import Description
from bihuan_scoring.use_cases.exporting import Exporter


async def export_parts(
    exporter: Exporter, request: audience_pb2.ExportAudienceRequest
) -> AsyncIterator[audience_pb2.ExportAudienceResponse]:
    """The tokens, and at the end what became of all."""
    async for part in exporter.export(request.audience_id, request.partner, request.purpose):
        message = audience_pb2.ExportAudienceResponse(person_tokens=part.tokens)
        if part.left_out_count is not None:
            message.summary.sent_count, message.summary.left_out_count = part.sent_count, part.left_out_count
        yield message


def description_message(found: Description, audience: audience_pb2.Audience) -> audience_pb2.DescribeAudienceResponse:
    """The whole answer."""
    return audience_pb2.DescribeAudienceResponse(
        audience=audience,
        known_member_count=found.known_member_count,
        known_count=found.known_count,
        tags=[
            audience_pb2.TagShare(
                condition=tag.condition,
                member_count=tag.member_count,
                everyone_count=tag.everyone_count,
                index=tag.index,
            )
            for tag in found.tags
        ],
        hidden_tag_count=found.hidden_count,
    )
