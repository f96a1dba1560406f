"""What the memory service measures."""

from __future__ import annotations

from livestar.obs import FAST_S, Metrics


class MemoryMetrics:
    """Made once a process; calls and their seconds are measured by rpc."""

    def __init__(self, metrics: Metrics) -> None:
        self.commits = metrics.counter(
            "commits", "Batches by how they ended: written, again, or refused.", labels=("outcome",)
        )
        self.events = metrics.counter("events", "Events written for subscribers.")
        self.loads = metrics.counter("loads", "Streams handed to a decoder.")
        self.plan_seconds = metrics.histogram("plan", "seconds", "Choosing what to forget.", buckets=FAST_S)
        self.batch_bytes = metrics.histogram(
            "batch", "bytes", "Size of a batch.", buckets=(256, 1024, 4096, 16_384, 65_536, 2**20, 2**24)
        )
