"""Traces across processes: the W3C context travels in gRPC metadata and in the headers of bus entries.

Off unless an endpoint is given. Off, a `traceparent` that comes in is still handed on, and nothing is recorded.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opentelemetry import trace
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SpanExporter

TRACEPARENT = "traceparent"

_PROPAGATOR = TraceContextTextMapPropagator()
_OFF = trace.NoOpTracer()
_tracer: trace.Tracer = _OFF


class Tracing:
    """Records and exports spans of this process, from now until `close`.

    Args:
        service: name of the service.
        endpoint: OTLP over gRPC, http://host:4317; empty: nothing is recorded.
        exporter: takes the spans instead of the endpoint.
    """

    def __init__(self, service: str, endpoint: str = "", exporter: SpanExporter | None = None) -> None:
        global _tracer
        self._provider = _provider(service, endpoint, exporter) if endpoint or exporter else None
        if self._provider:
            _tracer = self._provider.get_tracer("livestar")

    def close(self) -> None:
        """Sends what is left, for a few seconds at most, and stops recording."""
        global _tracer
        _tracer = _OFF
        if self._provider:
            self._provider.force_flush(3000)
            self._provider.shutdown()


def _provider(service: str, endpoint: str, exporter: SpanExporter | None) -> TracerProvider:
    # Here, so that a process without tracing never loads the SDK.
    from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    insecure = not endpoint.startswith("https://")
    provider = TracerProvider(resource=Resource.create({"service.name": f"livestar-{service}"}))
    provider.add_span_processor(
        BatchSpanProcessor(exporter or OTLPSpanExporter(endpoint=endpoint, insecure=insecure, timeout=3))
    )
    return provider


@contextmanager
def span(name: str, traceparent: str | None = None, **attributes: str | int | float) -> Iterator[None]:
    """Records what is done within, as part of the current trace, or of the one that `traceparent` names."""
    if _tracer is _OFF and not traceparent:
        # Nothing to record or to hand on. Entering a context all the same would put an error into the log whenever a
        # streaming call is abandoned: its generator is closed by another task, which cannot leave what this one has entered.
        yield
        return
    context = _PROPAGATOR.extract({TRACEPARENT: traceparent}) if traceparent else None
    with _tracer.start_as_current_span(name, context, attributes=attributes):
        yield


def current_traceparent() -> str | None:
    """The header of the current trace, for metadata and bus headers; None outside of any."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier)
    return carrier.get(TRACEPARENT)


def current_trace_id() -> str | None:
    """32 hexadecimal digits, for logs; None outside of any trace."""
    context = trace.get_current_span().get_span_context()
    return f"{context.trace_id:032x}" if context.is_valid else None
