"""Metrics of one service: a registry per process, and names that all read alike."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST

__all__ = ["CONTENT_TYPE", "FAST_S", "SLOW_S", "Counter", "Gauge", "Histogram", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

FAST_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
"""Buckets in seconds for calls and passes."""

SLOW_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Buckets in seconds for latencies that people notice."""

UNITS = (
    "seconds",
    "bytes",
    "frames",
    "tokens",
    "pages",
    "streams",
    "entries",
    "subscribers",
    "questions",
    "ratio",
    "info",
)
"""What a gauge or histogram may measure: base units, never milli or mega."""

_WHAT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_PER_STREAM = frozenset({"stream", "stream_id", "source", "question", "question_id", "trace_id"})

MetricT = TypeVar("MetricT", Counter, Gauge, Histogram)


class Metrics:
    """Makes metrics named `livestar_<service>_<what>_<unit>`; counters end in `_total`.

    Labels have few values: a stream id is never one.

    Args:
        service: name of the service.
    """

    def __init__(self, service: str) -> None:
        self.service = service
        self._registry = CollectorRegistry()

    def counter(self, what: str, about: str, labels: Sequence[str] = ()) -> Counter:
        """Counts events: `counter("frames_dropped", …)` is `livestar_<service>_frames_dropped_total`."""
        return Counter(self._name(what, labels), about, labels, registry=self._registry)

    def gauge(self, what: str, unit: str, about: str, labels: Sequence[str] = ()) -> Gauge:
        """A value that goes up and down, in one of `UNITS`."""
        return Gauge(self._name(f"{what}_{_known(unit)}", labels), about, labels, registry=self._registry)

    def histogram(
        self, what: str, unit: str, about: str, *, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        """A distribution, in one of `UNITS`."""
        name = self._name(f"{what}_{_known(unit)}", labels)
        return Histogram(name, about, labels, registry=self._registry, buckets=buckets)

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)

    def names(self) -> set[str]:
        """Names of all families, as queries use them (counters with `_total`)."""
        return {
            f"{family.name}_total" if family.type == "counter" else family.name
            for family in self._registry.collect()
        }

    def value(self, name: str, **labels: str) -> float | None:
        """The current value of a sample, for tests and inspection; None where there is none."""
        return self._registry.get_sample_value(name, labels)

    def _name(self, what: str, labels: Sequence[str]) -> str:
        if not _WHAT.fullmatch(what):
            raise ValueError(f"a metric is named in small letters and underscores, not '{what}'")
        if per_stream := _PER_STREAM.intersection(labels):
            raise ValueError(f"{', '.join(per_stream)} has too many values for a label")
        return f"livestar_{self.service}_{what}"


def _known(unit: str) -> str:
    if unit not in UNITS:
        raise ValueError(f"a metric is measured in one of {', '.join(UNITS)}, not '{unit}'")
    return unit
