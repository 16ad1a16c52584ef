"""Rules of leads as attribution takes them."""

from bihuan.attribution.v1 import terms_pb2
from bihuan_gateway.control.lead_specs import LeadSpec


def lead_terms(spec: LeadSpec | None) -> terms_pb2.LeadTerms | None:
    """Write what attribution scores by; None where no leads are kept. Where leads go is not its business."""
    if spec is None:
        return None
    points = [
        terms_pb2.LeadPoints(action=one.action, points=one.points, max_count=one.max_count) for one in spec.points
    ]
    return terms_pb2.LeadTerms(threshold=spec.threshold, points=points)
