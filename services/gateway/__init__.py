"""The edge: HTTP, WebSocket, server-sent events and gRPC."""
