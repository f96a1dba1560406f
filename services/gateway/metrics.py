"""What the gateway measures."""

from __future__ import annotations

from livestar.obs import FAST_S, SLOW_S, Metrics


class GatewayMetrics:
    """`livestar_gateway_…`; see each text."""

    def __init__(self, metrics: Metrics) -> None:
        self.requests = metrics.histogram(
            "http",
            "seconds",
            "HTTP requests by route and status, to the beginning of the answer.",
            buckets=FAST_S,
            labels=("route", "method", "status"),
        )
        self.subscribers = metrics.gauge(
            "connected", "subscribers", "Subscriptions by transport.", labels=("transport",)
        )
        self.feeds = metrics.gauge("followed", "streams", "Streams whose events are being read.")
        self.events_read = metrics.counter("events_read", "Events read from the bus, each once.")
        self.events_sent = metrics.counter(
            "events_sent", "Events handed to subscribers, by transport.", labels=("transport",)
        )
        self.unreadable = metrics.counter("events_unreadable", "Entries of the bus that are no events.")
        self.gaps = metrics.counter("gaps", "Subscribers that were told of missing events, each time.")
        self.lagging = metrics.counter("lagging", "Subscribers disconnected because they did not keep up.")
        self.read_failures = metrics.counter("read_failures", "Times that the bus could not be read.")
        self.delivery = metrics.histogram(
            "delivery",
            "seconds",
            "From decision to the subscribers' queues.",
            buckets=SLOW_S,
        )
        self.questions = metrics.counter("asked", "Questions by how they ended.", labels=("ended",))
        self.answer = metrics.histogram("answer", "seconds", "From question to whole answer.", buckets=SLOW_S)
