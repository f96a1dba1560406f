"""Frames as pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from livestar.core.errors import BadImage
from livestar.model import read_image, resize_frame, to_pixels
from livestar.model.image import MEAN, STD

pytestmark = pytest.mark.unit


def _frame(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(("height", "width"), [(48, 64), (448, 448), (1, 1), (900, 30)])
def test_any_frame_becomes_a_square(height: int, width: int) -> None:
    resized = resize_frame(_frame(height, width), 64)
    assert (resized.shape, resized.dtype) == ((64, 64, 3), np.uint8)


def test_arrays_views_and_images_give_the_same_bytes() -> None:
    frame = _frame(100, 80)
    expected = resize_frame(frame, 32)
    assert np.array_equal(resize_frame(Image.fromarray(frame), 32), expected)
    assert np.array_equal(resize_frame(np.flip(np.flip(frame, 1).copy(), 1), 32), expected)
    assert np.array_equal(resize_frame(Image.fromarray(frame).convert("RGBA"), 32), expected)


def test_a_frame_of_the_right_size_is_left_alone() -> None:
    frame = _frame(64, 64)
    assert np.array_equal(resize_frame(frame, 64), frame)


def test_pixels_are_normalised_per_channel() -> None:
    frames = np.stack([np.zeros((2, 4, 3), np.uint8), np.full((2, 4, 3), 255, np.uint8)])
    pixels = to_pixels(frames)
    assert (pixels.shape, pixels.dtype) == ((2, 3, 2, 4), torch.float32)
    assert pixels.is_contiguous()
    torch.testing.assert_close(
        pixels[0, :, 0, 0], torch.tensor([-2.1179, -2.0357, -1.8044]), atol=1e-4, rtol=0
    )
    torch.testing.assert_close(pixels[1, :, 0, 0], torch.tensor([2.2489, 2.4286, 2.6400]), atol=1e-4, rtol=0)


def test_normalising_in_place_gives_the_same_bits_as_the_plain_expression() -> None:
    frames = np.arange(256 * 3, dtype=np.uint16).astype(np.uint8).reshape(1, 16, 16, 3)
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    plain = (torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255 - mean) / std
    assert torch.equal(to_pixels(frames), plain)


def test_frames_may_be_read_only() -> None:
    frame = resize_frame(_frame(20, 20), 8)
    frame.flags.writeable = False
    assert torch.equal(to_pixels(frame[None]), to_pixels(frame[None].copy()))


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((8, 8), np.uint8),
        np.zeros((8, 8, 4), np.uint8),
        np.zeros((3, 8, 8), np.uint8),
        np.zeros((0, 8, 3), np.uint8),
        np.zeros((8, 8, 3), np.float32),
    ],
)
def test_strange_frames_are_refused(frame: np.ndarray) -> None:
    with pytest.raises(BadImage, match="uint8"):
        resize_frame(frame, 8)
    with pytest.raises(BadImage, match="uint8"):
        to_pixels(frame[None])


def test_files_are_read_as_rgb(tmp_path: Path) -> None:
    frame = _frame(10, 12)
    Image.fromarray(frame).save(tmp_path / "a.png")
    assert np.array_equal(read_image(tmp_path / "a.png"), frame)
    Image.fromarray(frame[..., 0]).save(tmp_path / "gray.png")
    assert np.array_equal(read_image(tmp_path / "gray.png"), frame[..., :1].repeat(3, axis=-1))


def test_corrupt_files_are_refused(tmp_path: Path) -> None:
    Image.fromarray(_frame(64, 64)).save(tmp_path / "whole.jpg")
    data = (tmp_path / "whole.jpg").read_bytes()
    for name, content in {
        "cut.jpg": data[: len(data) // 2],
        "empty.png": b"",
        "text.png": b"no image",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(BadImage, match=name):
            read_image(tmp_path / name)
    with pytest.raises(BadImage, match=r"absent\.png"):
        read_image(tmp_path / "absent.png")


def test_an_unreasonably_large_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.fromarray(_frame(64, 64)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadImage, match=r"large\.png"):
        read_image(tmp_path / "large.png")
