"""Look-alikes in messages of scoring."""

from bihuan.scoring.v1 import audience_pb2
from bihuan_gateway.control.look_alikes import (
    CurvePointView,
    DroppedView,
    EvidenceView,
    LiftView,
    LookAlikeSpec,
    ReasonView,
)
from bihuan_shared.clock import parse_rfc3339_us, to_timestamp


def look_alike_message(spec: LookAlikeSpec) -> audience_pb2.LookAlike:
    """What scoring is asked for."""
    message = audience_pb2.LookAlike(
        seed_audience_id=spec.seed_audience_id,
        target_size=spec.target_size or 0,
        least_precision=spec.least_precision or 0.0,
    )
    if spec.seed_cut_off_time is not None:
        message.seed_cut_off_time.CopyFrom(to_timestamp(parse_rfc3339_us(spec.seed_cut_off_time)))
    return message


def evidence_view(found: audience_pb2.LookAlikeEvidence) -> EvidenceView:
    """What speaks for it; the picture is left out, since the curve is there."""
    return EvidenceView(
        seed_audience_id=found.seed_audience_id,
        seed_size=found.seed_size,
        pool_size=found.pool_size,
        label_frequency=found.label_frequency,
        lifts=tuple(LiftView(share=one.share, lift=one.lift, low=one.low, high=one.high) for one in found.lifts),
        curve=tuple(
            CurvePointView(size=one.size, recall=one.recall, precision=one.precision, lift=one.lift)
            for one in found.curve
        ),
        dropped=tuple(DroppedView(feature=one.feature, reason=one.reason, value=one.value) for one in found.dropped),
        reasons=tuple(
            ReasonView(
                feature=one.feature,
                contribution=one.contribution,
                package_mean=one.package_mean,
                pool_mean=one.pool_mean,
            )
            for one in found.reasons
        ),
        figures=dict(found.figures),
    )
