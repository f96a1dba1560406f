"""What the routes share."""

from __future__ import annotations

from dataclasses import dataclass

from services.gateway.fanout import Hub
from services.gateway.http.preview import PreviewProxy
from services.gateway.metrics import GatewayMetrics
from services.gateway.settings import GatewaySettings
from services.gateway.streams import Streams


@dataclass(frozen=True)
class Edge:
    """What the routes share.

    Attributes:
        streams: what can be done with streams.
        hub: who listens to them.
        preview: their pictures.
        settings: how the gateway runs.
        metrics: what it measures.
    """

    streams: Streams
    hub: Hub
    preview: PreviewProxy
    settings: GatewaySettings
    metrics: GatewayMetrics
