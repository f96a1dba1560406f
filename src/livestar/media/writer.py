"""Writes frames as a video that plays everywhere."""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from itertools import chain
from pathlib import Path

import av
import numpy as np
from av.container import OutputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray


def write_video(
    path: str | Path,
    frames: Iterable[NDArray[np.uint8]],
    fps: Fraction | int,
    *,
    crf: int = 20,
    keyframe_every: int | None = None,
) -> None:
    """Writes an H.264 yuv420p MP4 with its index in front; the same frames give the same bytes.

    Args:
        path: the file to write; replaced when it exists. When writing fails, nothing is left there.
        frames: RGB uint8 [H, W, 3], all of one size, H and W even.
        fps: frames per second; `Fraction(30000, 1001)` for 29.97.
        crf: x264's constant rate factor, 0 (lossless but for the colour conversion) to 51 (worst).
        keyframe_every: most frames from one keyframe to the next, at least 1: where a player may start and a stream may be cut;
            None: x264 decides.

    Raises:
        ValueError: no frames, an odd or changing size, another shape or type.
    """
    rest = iter(frames)
    first = next(rest, None)
    if first is None:
        raise ValueError("a video needs at least one frame")
    if first.ndim != 3 or first.shape[0] % 2 or first.shape[1] % 2:
        raise ValueError(
            f"H.264 in yuv420p needs frames [H, W, 3] with even H and W, not {list(first.shape)}"
        )
    try:
        with av.open(str(path), "w", format="mp4", options={"movflags": "+faststart"}) as container:
            stream = _add_stream(container, first.shape, fps, crf, keyframe_every)
            for rgb in chain((first,), rest):
                container.mux(stream.encode(_checked(rgb, first.shape)))
            container.mux(stream.encode(None))
    except BaseException:
        Path(path).unlink(missing_ok=True)
        raise


def _add_stream(
    container: OutputContainer,
    shape: tuple[int, ...],
    fps: Fraction | int,
    crf: int,
    keyframe_every: int | None,
) -> VideoStream:
    # Over small frames x264's macroblock tree reads memory that it never wrote: the bytes would vary from run to run.
    options = {"crf": str(crf), "x264-params": "mbtree=0"}
    if keyframe_every is not None:
        options["g"] = str(keyframe_every)
    stream = container.add_stream("libx264", rate=fps, options=options)
    stream.height, stream.width = shape[:2]
    stream.pix_fmt = "yuv420p"
    # x264 decides differently with another number of threads: one thread makes the bytes repeatable.
    stream.thread_count = 1
    return stream


def _checked(rgb: NDArray[np.uint8], shape: tuple[int, ...]) -> VideoFrame:
    if rgb.shape != shape or rgb.dtype != np.uint8 or shape[2] != 3:
        raise ValueError(f"every frame must be uint8 {list(shape)}, not {rgb.dtype} {list(rgb.shape)}")
    return VideoFrame.from_ndarray(rgb, format="rgb24")
