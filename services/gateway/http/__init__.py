"""The HTTP edge: JSON, server-sent events, WebSocket, the page."""

from services.gateway.http.app import create_app
from services.gateway.http.edge import Edge
from services.gateway.http.server import HttpServer

__all__ = ["Edge", "HttpServer", "create_app"]
