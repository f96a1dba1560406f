"""A stream's pictures: fetched from the ingest that holds them, so that a browser needs the gateway only."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx
from starlette.responses import Response, StreamingResponse

from livestar.core.errors import NotFound, Unavailable
from livestar.core.ids import StreamId
from services.gateway.owners import Owners

TYPES = {
    "m3u8": "application/vnd.apple.mpegurl",
    "ts": "video/mp2t",
    "m4s": "video/iso.segment",
    "mp4": "video/mp4",
    "json": "application/json",
    "jpg": "image/jpeg",
}
"""What is let through, and what it is called, whatever ingest says."""

FILE = re.compile(rf"[A-Za-z0-9][A-Za-z0-9_-]{{0,80}}\.({'|'.join(TYPES)})")
MAX_FILE_BYTES = 64 * 2**20
REMEMBER_S = 10.0
TIMEOUT = httpx.Timeout(5.0, connect=1.0)


class PreviewProxy:
    """Finds and fetches. Belongs to one event loop; close it.

    Args:
        owners: who holds a stream's preview.
    """

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._http = httpx.AsyncClient(timeout=TIMEOUT, trust_env=False, follow_redirects=False)
        self._known: dict[StreamId, tuple[str, float]] = {}

    async def fetch(self, stream: StreamId, file: str) -> Response:
        """One file of a stream's preview.

        Raises:
            NotFound: there is none.
            Unavailable: nobody answers who may have it.
        """
        match = FILE.fullmatch(file)
        if not match:
            raise _none(stream)
        silent = False
        for address in await self._addresses(stream):
            async with AsyncExitStack() as stack:
                request = self._http.build_request("GET", f"http://{address}/preview/{stream}/{file}")
                try:
                    answer = await self._http.send(request, stream=True)
                except httpx.HTTPError:
                    silent = True
                    continue
                stack.push_async_callback(answer.aclose)
                if answer.status_code == httpx.codes.OK:
                    self._known[stream] = (address, time.monotonic())
                    return _passed_on(answer, TYPES[match[1]], stack.pop_all())
        self._known.pop(stream, None)
        if silent:
            raise Unavailable(f"the process that shows stream '{stream}' does not answer: try again")
        raise _none(stream)

    async def aclose(self) -> None:
        """Releases connections."""
        await self._http.aclose()

    async def _addresses(self, stream: StreamId) -> list[str]:
        address, since_s = self._known.get(stream, ("", 0.0))
        if address and time.monotonic() - since_s < REMEMBER_S:
            return [address]
        if len(self._known) > 1024:
            self._known.clear()
        return [address.http for address in await self._owners.previewers(stream)]


def _passed_on(answer: httpx.Response, content_type: str, held: AsyncExitStack) -> StreamingResponse:
    changes = content_type in (TYPES["m3u8"], TYPES["json"])
    headers = {"Cache-Control": "no-store" if changes else "private, max-age=60"}

    async def chunks() -> AsyncIterator[bytes]:
        sent = 0
        async with held:
            async for chunk in answer.aiter_bytes():
                sent += len(chunk)
                if sent > MAX_FILE_BYTES:
                    raise Unavailable("this file of a preview is too long")
                yield chunk

    return StreamingResponse(chunks(), media_type=content_type, headers=headers)


def _none(stream: StreamId) -> NotFound:
    return NotFound(f"stream '{stream}' has no such preview now: it may be over, or not have begun")
