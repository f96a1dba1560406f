"""Serves the previews' files: /preview/{stream}/index.m3u8 and what it names."""

from __future__ import annotations

import asyncio
import re
from http import HTTPStatus
from pathlib import Path

from livestar.obs import Answer

TYPES = {
    ".m3u8": "application/vnd.apple.mpegurl",
    ".ts": "video/mp2t",
    ".json": "application/json",
}

_PATH = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]{0,63})/(index\.m3u8|timing\.json|seg-[0-9]{6,12}\.ts)")
"""A stream and one of its files; nothing else is ever looked up."""


class PreviewPages:
    """A page of the HTTP endpoint.

    Args:
        folder: holds a folder for each stream.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def __call__(self, path: str) -> Answer:
        """The file, or 404."""
        found = _PATH.fullmatch(path)
        if not found:
            return _missing()
        file = self._folder / found[1] / found[2]
        try:
            body = await asyncio.to_thread(file.read_bytes)
        except OSError:
            return _missing()
        return HTTPStatus.OK, TYPES[file.suffix], body


def _missing() -> Answer:
    return HTTPStatus.NOT_FOUND, "text/plain", b"there is no such preview, or not yet\n"
