"""Frames on the way: what is encoded is what is decoded, and what is damaged is said to be."""

from __future__ import annotations

import io

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from livestar.core.errors import BadImage
from livestar.media.image import ImageKind, decode_image, encode_image

pytestmark = pytest.mark.unit


def frame(height: int = 24, width: int = 40) -> NDArray[np.uint8]:
    ramp = np.linspace(0, 255, height * width).reshape(height, width)
    return np.stack([ramp, ramp[::-1], np.full_like(ramp, 128)], axis=-1).astype(np.uint8)


def test_png_is_exact_and_jpeg_is_close() -> None:
    assert np.array_equal(decode_image(encode_image(frame(), "PNG"), "PNG", 40, 24), frame())
    seen = decode_image(encode_image(frame(), "JPEG"), "JPEG", 40, 24)
    assert np.abs(seen.astype(int) - frame()).mean() < 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_equal_frames_give_equal_bytes(kind: ImageKind) -> None:
    assert encode_image(frame(), kind) == encode_image(frame().copy(), kind)


def test_jpeg_keeps_the_full_colour_resolution() -> None:
    with Image.open(io.BytesIO(encode_image(frame(), "JPEG"))) as image:
        assert {component[1:3] for component in image.layer} == {(1, 1)}  # type: ignore[attr-defined]
        assert "progressive" not in image.info


@pytest.mark.parametrize("damage", ["cut", "noise", "empty", "other kind", "other size"])
def test_damage_is_said(damage: str) -> None:
    data, kind, size = encode_image(frame(), "JPEG"), "JPEG", (40, 24)
    match damage:
        case "cut":
            data = data[: len(data) // 2]
        case "noise":
            data = bytes(200)
        case "empty":
            data = b""
        case "other kind":
            kind = "PNG"
        case "other size":
            size = (24, 40)
    with pytest.raises(BadImage):
        decode_image(data, kind, *size)  # type: ignore[arg-type]


def test_what_is_no_frame_is_not_encoded() -> None:
    with pytest.raises(BadImage):
        encode_image(frame()[..., :1], "PNG")
