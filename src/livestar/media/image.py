"""Frames as images: read, resize, encode for transport, decode again. What the network sees begins here; no torch.

Pillow resizes in uint8 (bicubic, antialiased, rounded); a tensor resize differs by up to 0.28 after normalisation. Each axis
rounds to whole levels, so the order of the two passes shows: it is Pillow 13's, which reduces tall frames vertically first.

Source: published checkpoint layout (image preprocessing).
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from livestar.core.errors import BadImage

ImageKind: TypeAlias = Literal["JPEG", "PNG"]

JPEG_QUALITY = 92
"""With full colour resolution (4:4:4): what the network sees of a frame is nearly what the camera sent."""

MAX_SIDE = 16_384
"""Pixels; no frame is wider or taller."""

_UNREADABLE = (OSError, ValueError, SyntaxError, UnidentifiedImageError, Image.DecompressionBombError)


def read_image(path: Path | str) -> np.ndarray:
    """An image file as uint8 RGB [H, W, 3].

    Raises:
        BadImage: the file is missing, corrupt, cut off, or unreasonably large.
    """
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except _UNREADABLE as error:
        raise BadImage(f"{path} cannot be read as an image: {error}.") from error


def resize_frame(rgb: np.ndarray | Image.Image, size: int) -> np.ndarray:
    """One frame as uint8 [size, size, 3]; the aspect ratio is not kept. A frame of that size is returned as it is.

    Args:
        rgb: uint8 [H, W, 3], or a Pillow image.
        size: side in pixels.

    Raises:
        BadImage: another shape or dtype, or an empty frame.
    """
    if isinstance(rgb, np.ndarray):
        check_frame(rgb, dims=3)
        if rgb.shape[:2] == (size, size):
            return rgb
        rgb = Image.fromarray(np.ascontiguousarray(rgb))
    return np.asarray(rgb.convert("RGB").resize((size, size), Image.Resampling.BICUBIC))


def encode_image(rgb: NDArray[np.uint8], kind: ImageKind) -> bytes:
    """A frame, uint8 RGB [H, W, 3], as a baseline JPEG (lossy) or a PNG (exact). Equal frames give equal bytes.

    Raises:
        BadImage: another shape or dtype.
    """
    check_frame(rgb, dims=3)
    file = io.BytesIO()
    image = Image.fromarray(np.ascontiguousarray(rgb))
    if kind == "JPEG":
        image.save(file, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    else:
        image.save(file, "PNG", compress_level=1)
    return file.getvalue()


def decode_image(data: bytes, kind: ImageKind, width: int, height: int) -> NDArray[np.uint8]:
    """The frame in `data` as uint8 RGB [height, width, 3].

    Raises:
        BadImage: it is no whole image of this kind and size. Nothing large is allocated before that is known.
    """
    try:
        with Image.open(io.BytesIO(data), formats=(kind,)) as image:
            if image.size != (width, height) or max(image.size) > MAX_SIDE:
                raise BadImage(f"the image is {image.width} x {image.height} pixels, not {width} x {height}.")
            return np.asarray(image.convert("RGB"))
    except _UNREADABLE as error:
        raise BadImage(f"a frame cannot be read as {kind}: {error}.") from error


def check_frame(rgb: np.ndarray, dims: int) -> None:
    """Passes for an RGB frame (3 dimensions) or a batch of frames (4).

    Raises:
        BadImage: it is neither.
    """
    if rgb.dtype != np.uint8 or rgb.ndim != dims or rgb.shape[-1] != 3 or 0 in rgb.shape[-3:]:
        layout = "[H, W, 3]" if dims == 3 else "[B, H, W, 3]"
        raise BadImage(f"A frame must be uint8 {layout}, not {rgb.dtype} {list(rgb.shape)}.")
