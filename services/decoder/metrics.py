"""What the decoder measures."""

from __future__ import annotations

from livestar.engine import Pass
from livestar.obs import FAST_S, SLOW_S, Metrics

ROWS = (1, 4, 16, 64, 128, 256, 512, 1024, 2048, 4096, 8192)
STREAMS = (1, 2, 4, 8, 16, 32, 64, 128)


class DecoderMetrics:
    """Made once a process. The engine's thread and the event loop both count: the library's counters allow that."""

    def __init__(self, metrics: Metrics) -> None:
        self.streams = metrics.gauge("owned", "streams", "Streams that this process owns.")
        self.behind = metrics.gauge(
            "behind_live", "seconds", "Age of the oldest frame that is not decided yet, over all streams."
        )
        self.waiting = metrics.gauge(
            "waiting",
            "frames",
            "Frames that wait: for those before them, or for their turn.",
            labels=("where",),
        )
        self.pages = metrics.gauge("kv", "pages", "Pages of the KV pool.", labels=("state",))
        self.commands = metrics.gauge("commands", "entries", "Commands that wait for the engine's thread.")
        self.uncommitted = metrics.gauge(
            "uncommitted", "entries", "Events that the memory has not written yet."
        )
        self.pass_seconds = metrics.histogram(
            "pass",
            "seconds",
            "Forward passes: verify scores what is held, decode generates, prefill rebuilds a trunk.",
            buckets=FAST_S,
            labels=("kind",),
        )
        self.pass_tokens = metrics.histogram("pass", "tokens", "Rows of one forward pass.", buckets=ROWS)
        self.batch_streams = metrics.histogram(
            "batch", "streams", "Streams that one forward pass served.", buckets=STREAMS
        )
        self.decision_seconds = metrics.histogram(
            "frame_to_decision", "seconds", "From capture to a written decision.", buckets=SLOW_S
        )
        self.commit_seconds = metrics.histogram(
            "commit", "seconds", "Until the memory has written a batch, retries included.", buckets=FAST_S
        )
        self.decisions = metrics.counter("decisions", "Decisions by kind.", labels=("action", "rule"))
        self.frames = metrics.counter("frames", "Frames that were decided.")
        self.missing = metrics.counter("frames_missing", "Frames that are never decided.", labels=("reason",))
        self.refused = metrics.counter("entries_refused", "Entries of the bus dropped.", labels=("reason",))
        self.answers = metrics.counter("answers", "Questions by how they ended.", labels=("ending",))
        self.plans = metrics.counter(
            "plans", "Plans of what to forget that were used, by who made them.", labels=("made",)
        )
        self.failures = metrics.counter("failures", "Streams that an error ended.", labels=("reason",))
        self.opened = metrics.counter("streams_opened", "Streams taken, anew or restored.", labels=("how",))
        self.closed = metrics.counter("streams_closed", "Streams given up, by why.", labels=("why",))
        self.retries = metrics.counter("passes_failed", "Forward passes that failed and were tried again.")

    def passed(self, done: Pass) -> None:
        """One forward pass; called on the engine's thread."""
        verifies = any(len(chunk.targets) for chunk in done.chunks)
        decodes = any(chunk.sampling for chunk in done.chunks)
        kind = (
            "mixed" if verifies and decodes else "verify" if verifies else "decode" if decodes else "prefill"
        )
        self.pass_seconds.labels(kind).observe(done.seconds)
        self.pass_tokens.observe(sum(map(len, done.chunks)))
        self.batch_streams.observe(done.num_streams)
