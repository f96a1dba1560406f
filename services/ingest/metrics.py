"""Metrics of ingest."""

from __future__ import annotations

from livestar.obs import FAST_S, SLOW_S, Metrics


class IngestMetrics:
    """What ingest counts; safe to use from the reading threads."""

    def __init__(self, metrics: Metrics) -> None:
        self.captured = metrics.counter("frames_captured", "Frames published.")
        self.dropped = metrics.counter("frames_dropped", "Frames dropped because their stream fell behind.")
        self.bytes = metrics.counter("frame_bytes", "Bytes of encoded frames published.")
        self.damaged = metrics.counter(
            "decode_errors", "Packets or frames of sources that did not decode cleanly."
        )
        self.reconnects = metrics.counter("reconnects", "Times that a source was opened again.")
        self.ended = metrics.counter("streams_ended", "Streams that came to their end.", ("reason",))
        self.owned = metrics.gauge("owned", "streams", "Streams that this process captures.")
        self.in_flight = metrics.gauge("in_flight", "frames", "Frames published and not yet decided.")
        self.behind = metrics.gauge(
            "behind_live", "seconds", "Age of the oldest frame that is not decided yet, of all streams."
        )
        self.opening = metrics.histogram("open", "seconds", "Opening a source.", buckets=SLOW_S)
        self.preparing = metrics.histogram(
            "prepare", "seconds", "Scaling and encoding one frame.", buckets=FAST_S
        )
        self.publishing = metrics.histogram(
            "publish", "seconds", "Putting one frame on the bus.", buckets=FAST_S
        )
        self.preview_errors = metrics.counter("preview_errors", "Previews given up, such as on a full disk.")
