"""A clip as a live HLS preview, served over HTTP as ingest does: a rolling playlist that grows at the pace of life."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import av
import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

SEGMENT_S = 1.0
KEEP = 12
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def write_segments(folder: Path, pictures: Iterable[NDArray[np.uint8]], fps: int) -> int:
    """Encodes pictures, uint8 [H, W, 3], into `seg-000001.ts` …, a second each; returns how many."""
    with av.open(
        str(folder / "all.m3u8"),
        "w",
        format="hls",
        options={
            "hls_time": "1",
            "hls_list_size": "0",
            "start_number": "1",
            "hls_segment_filename": str(folder / "seg-%06d.ts"),
        },
    ) as output:
        stream = None
        for number, picture in enumerate(pictures):
            if stream is None:
                stream = output.add_stream("libx264", rate=fps, options={"preset": "ultrafast"})
                stream.height, stream.width = picture.shape[:2]
                stream.pix_fmt = "yuv420p"
                stream.gop_size = fps
                stream.thread_count = 1
            frame = VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            output.mux(stream.encode(frame))
        assert stream is not None, "a clip has frames"
        output.mux(stream.encode(None))
    return len(list(folder.glob("seg-*.ts")))


@dataclass
class LivePreview:
    """Serves /preview/{stream}/… while it is entered; time begins with `begin`.

    Attributes:
        folder: with segments.
        num_segments: how many.
        port: of the HTTP server.
    """

    folder: Path
    num_segments: int
    port: int = 0

    def __post_init__(self) -> None:
        self._began_s: float | None = None
        self._server: asyncio.Server | None = None

    def begin(self) -> None:
        """The first frame is now."""
        self._began_s = time.monotonic()

    @property
    def time_s(self) -> float:
        """Seconds since the first frame."""
        return time.monotonic() - self._began_s if self._began_s is not None else 0.0

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)
            name = head.split(b" ", 2)[1].decode().rpartition("/")[2]
            body = self._body(name)
            status = "200 OK" if body is not None else "404 Not Found"
            content = body or b"there is nothing\n"
            writer.write(
                f"HTTP/1.1 {status}\r\nContent-Length: {len(content)}\r\nConnection: close\r\n\r\n".encode()
            )
            writer.write(content)
            await writer.drain()
        except (OSError, EOFError, TimeoutError):
            return
        finally:
            writer.close()

    def _body(self, name: str) -> bytes | None:
        if name == "index.m3u8":
            return self._playlist()
        path = self.folder / name
        return path.read_bytes() if path.name.startswith("seg-") and path.is_file() else None

    def _playlist(self) -> bytes | None:
        done = min(self.num_segments, int(self.time_s / SEGMENT_S))
        if done < 1:
            return None
        first = max(1, done - KEEP + 1)
        lines = ["#EXTM3U", "#EXT-X-VERSION:3", "#EXT-X-TARGETDURATION:2", f"#EXT-X-MEDIA-SEQUENCE:{first}"]
        for number in range(first, done + 1):
            moment = EPOCH + timedelta(seconds=(number - 1) * SEGMENT_S)
            lines.append(f"#EXT-X-PROGRAM-DATE-TIME:{moment.isoformat(timespec='milliseconds')[:-6]}Z")
            lines += [f"#EXTINF:{SEGMENT_S:.3f},", f"seg-{number:06d}.ts"]
        return ("\n".join(lines) + "\n").encode()
