"""Metrics of vision."""

from __future__ import annotations

from livestar.obs import FAST_S, SLOW_S, Metrics


class VisionMetrics:
    """What vision counts."""

    def __init__(self, metrics: Metrics) -> None:
        self.encoded = metrics.counter("frames_encoded", "Frames whose visual tokens were published.")
        self.failed = metrics.counter("frames_failed", "Frames that could not be encoded.", ("reason",))
        self.repeated = metrics.counter("frames_repeated", "Frames that another replica had left unfinished.")
        self.forgotten = metrics.counter("frames_forgotten", "Frames of streams that were deleted meanwhile.")
        self.batch = metrics.histogram(
            "batch", "frames", "Frames of a pass.", buckets=(1, 2, 4, 8, 16, 32, 64)
        )
        self.forward = metrics.histogram("encode", "seconds", "One pass of the network.", buckets=FAST_S)
        self.unpacking = metrics.histogram(
            "unpack", "seconds", "Decoding the images of a pass.", buckets=FAST_S
        )
        self.age = metrics.histogram(
            "frame_age", "seconds", "From capture until the tokens are published.", buckets=SLOW_S
        )
        self.waiting = metrics.gauge("queue", "frames", "Frames on the bus that nobody has taken.")
        self.pending = metrics.gauge("pending", "frames", "Frames that replicas have taken and not finished.")
