"""Which gateway a command talks to: the one that is named, or the one that runs on this machine."""

from __future__ import annotations

import httpx

from livestar.client.running_system import RunningSystem
from livestar.core.errors import Unavailable

DEFAULT_URL = "http://127.0.0.1:8080"
LOOK_S = 0.5


def find_gateway(named: str | None) -> str | None:
    """Its address; None: none is named, and none runs here.

    Args:
        named: what --gateway or LIVESTAR_GATEWAY_URL says; not looked at any further.
    """
    if named:
        return named
    if running := RunningSystem.find():
        return running.gateway_url
    return DEFAULT_URL if _is_gateway(DEFAULT_URL) else None


def gateway_or_raise(named: str | None) -> str:
    """Like `find_gateway`, for commands that need one.

    Raises:
        Unavailable: there is none.
    """
    if url := find_gateway(named):
        return url
    raise Unavailable(
        "no gateway runs here: start one with `livestar up`, or give --gateway http://host:port"
    )


def _is_gateway(url: str) -> bool:
    """Whether it lists streams; something else may listen there."""
    try:
        answer = httpx.get(f"{url}/v1/streams", timeout=LOOK_S, trust_env=False)
        # One that wants a token says so in a problem document.
        wants_token = answer.status_code == httpx.codes.UNAUTHORIZED
        return wants_token or (answer.is_success and "streams" in answer.json())
    except (httpx.HTTPError, ValueError):
        return False
