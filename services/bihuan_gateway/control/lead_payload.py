"""What a sales webhook is told: a lead without anything that says who it is."""

import json

from bihuan_gateway.control.lead_ports import DueLead
from bihuan_shared.clock import format_rfc3339


def lead_payload(lead: DueLead) -> bytes:
    """Write the body of a delivery: JSON in UTF-8. Persons and identifiers stay inside."""
    body = {
        "type": "lead",
        "lead_id": lead.lead_id,
        "revision": lead.revision,
        "advertiser_id": lead.advertiser_id,
        "points": lead.points,
        "threshold": lead.threshold,
        "reasons": [{"action": action, "count": count, "points": points} for action, count, points in lead.reasons],
        "references": list(lead.references),
        "campaign_id": lead.campaign_id or None,
        "creative_id": lead.creative_id or None,
        "first_time": format_rfc3339(lead.first_time_us),
        "last_time": format_rfc3339(lead.last_time_us),
    }
    return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
