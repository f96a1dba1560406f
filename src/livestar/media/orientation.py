"""Turns a frame upright: phones store the sensor's rows and say by a display matrix how to hold them."""

from __future__ import annotations

import numpy as np
from av.buffer import Buffer
from av.video.frame import VideoFrame
from numpy.typing import NDArray


def upright_rgb(frame: VideoFrame) -> NDArray[np.uint8]:
    """The frame as it is meant to be seen: uint8 [H, W, 3], contiguous, owned by the caller.

    Quarter turns and mirroring are honoured; any other display matrix is rounded to one of these eight.
    """
    rgb = np.asarray(frame.to_ndarray(format="rgb24", threads=1), dtype=np.uint8)
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if isinstance(matrix, Buffer):
        rgb = _turned(rgb, np.frombuffer(bytes(matrix), dtype=np.int32))
    return np.ascontiguousarray(rgb)


def _turned(rgb: NDArray[np.uint8], matrix: NDArray[np.int32]) -> NDArray[np.uint8]:
    """Applies x' = a x + c y, y' = b x + d y, where y points down and the matrix begins a, b, 0, c, d."""
    a, b, _, c, d = matrix[:5].tolist()
    if abs(b) > abs(a):
        rgb, a, d = rgb.swapaxes(0, 1), c, b
    return rgb[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
