"""The page of an audience holds what is told of it, and nothing that a name could smuggle in."""

from bihuan.scoring.v1 import audience_pb2 as pb
from bihuan_cli.cards.audience_page import audience_page

SHOWN = pb.GetAudienceResponse(
    audience=pb.Audience(
        audience_id="tea",
        display_name='<script>alert("x")</script>',
        expression='gender == "<f>"',
        state=pb.AUDIENCE_STATE_READY,
        told_size=1_230,
        size=1_234,
    )
)
DESCRIBED = pb.DescribeAudienceResponse(
    known_member_count=1_000,
    known_count=10_000,
    tags=[
        pb.TagShare(condition='gender == "<f>"', member_count=500, everyone_count=2_500, index=2.0),
        pb.TagShare(condition="age < 0", member_count=100, everyone_count=2_000, index=0.5),
    ],
    hidden_tag_count=7,
)


def test_page_tells_the_size_with_noise_and_what_sets_the_audience_apart() -> None:
    page = audience_page(SHOWN, DESCRIBED)
    assert "about 1,230 persons" in page
    assert "1,234" not in page
    assert "50.0%" in page
    assert "25.0%" in page
    assert "+1.000" in page
    assert "-1.000" in page
    assert "7 tags have too few persons" in page


def test_page_escapes_every_text_and_loads_nothing() -> None:
    page = audience_page(SHOWN, DESCRIBED)
    assert "<script" not in page
    assert "<f>" not in page
    assert "default-src &#x27;none&#x27;" in page


def test_page_of_what_cannot_be_described_says_so() -> None:
    assert "too few of its members are known" in audience_page(SHOWN, None)


def test_page_tells_versions_with_noise_and_why_they_came() -> None:
    history = [
        pb.AudienceVersion(version=2, size=1_234, told_size=1_230, cause=pb.AUDIENCE_VERSION_CAUSE_REFRESHED),
        pb.AudienceVersion(version=1, size=3, below_floor=True, cause=pb.AUDIENCE_VERSION_CAUSE_BUILT),
    ]
    history[0].version_time.FromSeconds(1_700_000_000)
    page = audience_page(pb.GetAudienceResponse(audience=SHOWN.audience, history=history), DESCRIBED)
    row = "<tr><td>2</td><td>2023-11-14T22:13:20Z</td><td>about 1,230</td><td>refreshed</td></tr>"
    assert row in page
    assert "<tr><td>1</td><td>not known</td><td>too few persons to be told</td><td>built</td></tr>" in page
    assert "1,234" not in page
    assert "Versions" not in audience_page(SHOWN, DESCRIBED)


def test_page_of_a_look_alike_draws_its_curves() -> None:
    curve = [pb.LookAlikeCurvePoint(size=100, recall=0.2, precision=0.5, lift=3), pb.LookAlikeCurvePoint(size=1_000)]
    evidence = pb.LookAlikeEvidence(
        seed_audience_id="seed",
        curve=curve,
        lifts=[pb.LookAlikeLift(share=0.1, lift=4, low=3, high=5)],
        dropped=[pb.DroppedFeature(feature="interest:tea", reason="DEFINES_SEED", value=0.9)],
        reasons=[pb.LookAlikeReason(feature="orders", contribution=0.5)],
    )
    page = audience_page(pb.GetAudienceResponse(audience=SHOWN.audience, look_alike_evidence=evidence), DESCRIBED)
    assert page.count("<polyline") == 2
    assert "DEFINES_SEED" in page
    assert "3.00 to 5.00" in page
