"""Versions of the registry on the wire."""

from bihuan.scoring.v1 import scoring_pb2
from bihuan_scoring.domain.models import PRIOR_VERSION
from bihuan_scoring.use_cases.serving import Mode, Registered
from bihuan_shared.clock import to_timestamp

_MODES = {
    scoring_pb2.PUBLISH_MODE_UNSPECIFIED: Mode.EVERYONE,
    scoring_pb2.PUBLISH_MODE_EVERYONE: Mode.EVERYONE,
    scoring_pb2.PUBLISH_MODE_SHADOW: Mode.SHADOW,
    scoring_pb2.PUBLISH_MODE_CANARY: Mode.CANARY,
}


def mode_of(mode: "scoring_pb2.PublishMode.ValueType") -> Mode | None:
    """Whom a version is to serve; None for a mode of a later release."""
    return _MODES.get(mode)


def model_message(registered: Registered) -> scoring_pb2.Model:
    """A version and its place."""
    info, serving = registered.info, registered.serving
    version = info.model_version
    return scoring_pb2.Model(
        model_version=version,
        create_time=to_timestamp(info.create_time_us) if info.create_time_us else None,
        serving=version == serving.model_version and version != PRIOR_VERSION,
        metrics=dict(info.metrics),
        state=_state(registered),
        share=serving.canary_share if version == serving.canary else 0.0,
        state_reason=info.refusal or serving.why(version),
        predictor=registered.predictor,
        signing_key=0 if info.key_id is None else info.key_id + 1,
        feature_version=info.feature_version,
        data_sha256=info.data_sha256,
    )


def _state(registered: Registered) -> "scoring_pb2.ModelState.ValueType":
    version, serving = registered.info.model_version, registered.serving
    if registered.info.refusal:
        return scoring_pb2.MODEL_STATE_REFUSED
    if version in (serving.model_version, PRIOR_VERSION):
        return scoring_pb2.MODEL_STATE_STABLE
    if version == serving.canary:
        return scoring_pb2.MODEL_STATE_CANARY
    if version == serving.shadow:
        return scoring_pb2.MODEL_STATE_SHADOW
    return scoring_pb2.MODEL_STATE_WITHDRAWN if version in serving.withdrawn else scoring_pb2.MODEL_STATE_IDLE
