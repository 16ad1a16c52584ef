"""Structured logs: one JSON object a line on standard error, with the trace id of the running call."""

import logging
import sys
from collections.abc import MutableMapping

import structlog

from bihuan_shared import telemetry


def configure(level: str = "INFO", *, service: str = "") -> None:
    """
    Makes structlog and the standard library write JSON lines from `level` on.

    Lines hold no raw identifiers of persons and no secrets; whoever logs sees to it.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _add_trace_id,
        _naming(service),
    ]
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)


def _naming(service: str) -> structlog.typing.Processor:
    def add_service(_: object, __: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
        if service:
            event.setdefault("service", service)
        return event

    return add_service


def _add_trace_id(_: object, __: str, event: MutableMapping[str, object]) -> MutableMapping[str, object]:
    trace_id = telemetry.trace_id()
    if trace_id is not None:
        event.setdefault("trace_id", trace_id)
    return event
