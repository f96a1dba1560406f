"""The edge: HTTP, server-sent events, WebSocket and gRPC for clients, and the page."""
