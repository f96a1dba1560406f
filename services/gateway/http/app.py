"""The application, put together."""

from __future__ import annotations

from fastapi import FastAPI

import livestar
from services.gateway.http.edge import Edge
from services.gateway.http.event_routes import event_routes
from services.gateway.http.guard import Guard, Preflight
from services.gateway.http.page import install_page
from services.gateway.http.preview_routes import preview_routes
from services.gateway.http.problems import install_problems
from services.gateway.http.question_routes import question_routes
from services.gateway.http.schema import install_schema
from services.gateway.http.socket_routes import socket_routes
from services.gateway.http.stream_routes import stream_routes


def create_app(edge: Edge) -> FastAPI:
    """Everything that the gateway answers over HTTP."""
    app = FastAPI(
        title="LiveStar gateway",
        version=livestar.__version__,
        description="Watches live video and speaks when something has changed.",
        docs_url=None,
        redoc_url=None,
    )
    for routes in (stream_routes, event_routes, question_routes, socket_routes, preview_routes):
        app.include_router(routes(edge))
    install_page(app)
    install_problems(app)
    install_schema(app, secured=bool(edge.settings.token.get_secret_value()))
    # The last one added is the first one asked.
    app.add_middleware(Preflight, settings=edge.settings)
    app.add_middleware(Guard, settings=edge.settings, metrics=edge.metrics)
    return app
