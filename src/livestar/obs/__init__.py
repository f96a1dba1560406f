"""What a process says about itself: metrics, logs, traces, health. The only importer of prometheus_client and opentelemetry."""

from livestar.obs.endpoint import Answer, ObservabilityEndpoint, Page
from livestar.obs.health import Health
from livestar.obs.logs import about, configure_logs
from livestar.obs.metrics import FAST_S, SLOW_S, Counter, Gauge, Histogram, Metrics
from livestar.obs.tracing import TRACEPARENT, Tracing, current_trace_id, current_traceparent, span

__all__ = [
    "FAST_S",
    "SLOW_S",
    "TRACEPARENT",
    "Answer",
    "Counter",
    "Gauge",
    "Health",
    "Histogram",
    "Metrics",
    "ObservabilityEndpoint",
    "Page",
    "Tracing",
    "about",
    "configure_logs",
    "current_trace_id",
    "current_traceparent",
    "span",
]
