"""Plain types to messages, where several hops need the same ones."""

from bihuan.common.v1 import common_pb2
from bihuan_gateway.data.ports import Consent, Identifier


def identifier_messages(identifiers: tuple[Identifier, ...]) -> list[common_pb2.Identifier]:
    """Write identifiers."""
    return [common_pb2.Identifier(namespace=item.namespace, value=item.value) for item in identifiers]


def consent_message(consent: Consent) -> common_pb2.Consent:
    """Write a consent; names are those of the contract."""
    return common_pb2.Consent(
        purposes=[common_pb2.Purpose.Value(f"PURPOSE_{name}") for name in sorted(consent.purposes)],
        data_classes=[common_pb2.DataClass.Value(f"DATA_CLASS_{name}") for name in sorted(consent.data_classes)],
        source=consent.source,
    )
