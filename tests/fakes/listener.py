"""Reads server-sent events of a gateway, as a program would."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx


@dataclass(frozen=True)
class Heard:
    """One server-sent event.

    Attributes:
        id: the cursor; empty where none was given.
        kind: its name.
        event: its payload.
    """

    id: str
    kind: str
    event: dict[str, Any]

    @property
    def sequence(self) -> int:
        return int(self.event.get("sequence", 0))


@asynccontextmanager
async def listening(
    http: httpx.AsyncClient, path: str, *, method: str = "GET", **options: Any
) -> AsyncIterator[AsyncIterator[Heard]]:
    """Events of an answer that streams; leaving hangs up."""
    headers = {"Accept": "text/event-stream", **options.pop("headers", {})}
    async with http.stream(method, path, headers=headers, **options) as response:
        if response.status_code != 200:
            await response.aread()
        assert response.status_code == 200, response.text
        assert response.headers["content-type"].startswith("text/event-stream")
        yield _events(response)


async def hear(
    http: httpx.AsyncClient,
    path: str,
    count: int | None = None,
    *,
    into: list[Heard] | None = None,
    **options: Any,
) -> list[Heard]:
    """The first `count` events; None: all, to the end. `into` holds them as they come."""
    heard: list[Heard] = [] if into is None else into
    async with listening(http, path, **options) as events:
        async for event in events:
            heard.append(event)
            if len(heard) == count:
                break
    return heard


async def _events(response: httpx.Response) -> AsyncIterator[Heard]:
    cursor, kind, data = "", "message", ""
    async for line in response.aiter_lines():
        if line == "":
            if data:
                yield Heard(cursor, kind, json.loads(data))
            cursor, kind, data = "", "message", ""
        elif not line.startswith(":"):
            name, _, value = line.partition(": ")
            cursor, kind, data = (
                value if name == "id" else cursor,
                value if name == "event" else kind,
                value if name == "data" else data,
            )
