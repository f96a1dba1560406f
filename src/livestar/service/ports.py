"""Where services listen by default on one machine, and find each other."""

from __future__ import annotations

GATEWAY_PORT = 8080
"""The page and the HTTP interface."""

GRPC_PORTS = {"gateway": 7300, "ingest": 7301, "vision": 7302, "memory": 7303, "decoder": 7304, "jobs": 7305}
"""gRPC; jobs has none and keeps the number free."""

HTTP_PORTS = {"gateway": 7400, "ingest": 7401, "vision": 7402, "memory": 7403, "decoder": 7404, "jobs": 7405}
"""/metrics, /healthz, /readyz."""


def local_address(service: str) -> str:
    """`host:port` of a service's gRPC server on this machine."""
    return f"127.0.0.1:{GRPC_PORTS[service]}"
