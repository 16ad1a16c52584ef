"""The evidence of a look-alike on the wire."""

from bihuan.scoring.v1 import audience_pb2
from bihuan_scoring.domain.audiences import Audience
from bihuan_scoring.lookalike.evidence import Evidence
from bihuan_scoring.lookalike.picture import curve_svg


def evidence_message(audience: Audience, text: str) -> audience_pb2.LookAlikeEvidence | None:
    """The message; None of an audience that is no look-alike, or is not built."""
    if audience.look_alike is None or not text:
        return None
    found = Evidence.from_json(text)
    return audience_pb2.LookAlikeEvidence(
        seed_audience_id=audience.look_alike.seed_audience_id,
        seed_size=found.seed_size,
        pool_size=found.pool_size,
        label_frequency=found.label_frequency,
        lifts=[
            audience_pb2.LookAlikeLift(share=each.share, lift=each.lift, low=each.low, high=each.high)
            for each in found.lifts
        ],
        curve=[
            audience_pb2.LookAlikeCurvePoint(
                size=each.size, recall=each.recall, precision=each.precision, lift=each.lift
            )
            for each in found.curve
        ],
        curve_svg=curve_svg(found.curve, f"Precision (upper estimate) and recall by size, {audience.audience_id}"),
        dropped=[
            audience_pb2.DroppedFeature(feature=each.feature, reason=each.leak.value, value=each.value)
            for each in found.dropped
        ],
        reasons=[
            audience_pb2.LookAlikeReason(
                feature=each.feature,
                contribution=each.contribution,
                package_mean=each.package_mean,
                pool_mean=each.pool_mean,
            )
            for each in found.reasons
        ],
        figures=dict(found.figures),
    )
