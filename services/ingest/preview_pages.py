"""Serves the previews' files: /preview/{stream}/index.m3u8 and what it names. Knows who is watched."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
import time
from http import HTTPStatus
from pathlib import Path

from livestar.core.ids import StreamId
from livestar.media.hls import PLAYLIST
from livestar.obs import Answer

log = logging.getLogger("livestar.ingest")

TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".json": "application/json",
}

WATCHED_S = 20.0
"""A preview that nobody has asked for in so long is not watched."""

FIRST_S = 4.0
"""The first viewer waits so long for a playlist that is still to be made."""

_PATH = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})/(index\.m3u8|timing\.json|seg-[0-9]{6,12}\.ts)")
"""A stream and one of its files; nothing else is ever looked up."""


class PreviewPages:
    """A page of the HTTP endpoint. Belongs to the event loop; `watched` may be asked from any thread.

    Args:
        folder: holds a folder for each stream.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._asked_at_s: dict[StreamId, float] = {}

    def begin(self, stream: StreamId) -> Path | None:
        """An empty folder for the preview of a stream; None: the disk is full."""
        self.remove(stream)
        folder = self._folder / stream
        try:
            folder.mkdir(parents=True)
        except OSError as error:
            log.warning("no preview: %s", error)
            return None
        return folder

    def remove(self, stream: StreamId) -> None:
        """Removes the preview of a stream."""
        shutil.rmtree(self._folder / stream, ignore_errors=True)
        self._asked_at_s.pop(stream, None)

    def watched(self, stream: StreamId) -> bool:
        """Whether somebody looks at the preview of a stream."""
        return time.monotonic() - self._asked_at_s.get(stream, -WATCHED_S) < WATCHED_S

    async def __call__(self, path: str) -> Answer:
        """The file, or 404."""
        found = _PATH.fullmatch(path)
        if not found or not (folder := self._folder / found[1]).is_dir():
            return _missing()
        self._asked_at_s[StreamId(found[1])] = time.monotonic()
        file = folder / found[2]
        if found[2] == PLAYLIST:
            await self._first(file)
        try:
            body = await asyncio.to_thread(file.read_bytes)
        except OSError:
            return _missing()
        return HTTPStatus.OK, TYPES[file.suffix], body

    async def _first(self, playlist: Path) -> None:
        until_s = time.monotonic() + FIRST_S
        while not playlist.exists() and time.monotonic() < until_s:
            await asyncio.sleep(0.1)


def _missing() -> Answer:
    return HTTPStatus.NOT_FOUND, "text/plain", b"there is no such preview, or not yet\n"
