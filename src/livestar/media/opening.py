"""Opens a file or URL for decoding, and says in one sentence why that cannot be done."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path

import av
from av.container import InputContainer
from av.error import EOFError as CutShortError
from av.error import FFmpegError, InvalidDataError, ProtocolNotFoundError
from av.stream import Discard, Disposition
from av.video.stream import VideoStream

from livestar.core.address import without_secrets
from livestar.core.errors import BadVideo


def open_container(
    source: str | Path, timeout_s: float, options: Mapping[str, str] | None = None
) -> InputContainer:
    """Opens `source`; the caller closes the container.

    Args:
        source: a path or an address.
        timeout_s: longest wait for one answer.
        options: FFmpeg's, for the format and the protocol.

    Raises:
        BadVideo: nothing there, not a file, not a video, or no answer within `timeout_s`.
    """
    if not is_url(source):
        _require_file(Path(source))
    started_s = time.monotonic()
    try:
        # "file:" keeps FFmpeg from reading "cam 12:30.mp4" as an address.
        container = av.open(
            str(source) if is_url(source) else f"file:{source}",
            timeout=timeout_s,
            options=dict(options or {}),
        )
    except FFmpegError as error:
        raise BadVideo(_why_not_opened(source, error, time.monotonic() - started_s, timeout_s)) from error
    if container.format.name == "tty":
        container.close()
        raise BadVideo(f"{shown(source)} is a text file: give a video file.")
    return container


def select_stream(container: InputContainer, name: str) -> VideoStream:
    """The video stream of `container`, ready to decode on one thread; every other stream is left unread.

    One thread, because a service decodes many streams at once and should scale by streams: frame threads each
    hold back a frame (latency, memory), and one core decodes 1080p H.264 about three times faster than live.

    Raises:
        BadVideo: no video stream, or one in a codec that FFmpeg cannot decode.
    """
    stream = container.streams.best("video")
    # The cover of a music file is stored as a video of one picture.
    if not isinstance(stream, VideoStream) or stream.disposition & Disposition.attached_pic:
        kinds = " and ".join(sorted({other.type for other in container.streams if other is not stream}))
        raise BadVideo(f"{name} holds {kinds or 'nothing'} but no video: give a file with a video track.")
    if stream.codec_context is None:
        raise BadVideo(f"{name} uses a video codec that this FFmpeg cannot decode: re-encode it as H.264.")
    for other in container.streams:
        if other is not stream:
            other.discard = Discard.all
    stream.thread_count = 1
    return stream


def is_url(source: str | Path) -> bool:
    """Whether `source` is an address rather than a path."""
    return isinstance(source, str) and "://" in source


def shown(source: str | Path) -> str:
    """`source` for a message: an address loses its user, password and query, which hold secrets."""
    return without_secrets(str(source)) if is_url(source) else str(source)


def _require_file(path: Path) -> None:
    if path.is_dir():
        raise BadVideo(f"{path} is a directory: give the path of one video file.")
    if not path.exists():
        raise BadVideo(f"{path} does not exist: check the path.")


def _why_not_opened(source: str | Path, error: FFmpegError, waited_s: float, timeout_s: float) -> str:
    name = shown(source)
    # An interrupted read ends in whatever the protocol makes of it (RTSP: "invalid data"), so time decides.
    if is_url(source) and waited_s >= timeout_s:
        return f"{name} did not answer within {timeout_s:g} s: check the address and that its server is up."
    if isinstance(error, ProtocolNotFoundError):
        return f"{name} has a scheme unknown to this FFmpeg: use a path, http, https, rtsp, rtmp, udp or tcp."
    if isinstance(error, InvalidDataError | CutShortError):
        return f"{name} is no video that FFmpeg can read, or is cut short: export it again as H.264 in MP4."
    if is_url(source):
        return f"{name} could not be opened ({error.strerror}): check the address and that its server is up."
    return f"{name} could not be opened ({error.strerror}): check that this user may read it."
