"""Frames written are frames read."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

from fakes.video import numbered_frame, read_number
from livestar.media import VideoSource, write_video

pytestmark = pytest.mark.unit

NTSC = Fraction(30_000, 1001)


def test_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, (numbered_frame(i) for i in range(50)), NTSC, crf=10)
    with VideoSource.open(path) as source:
        samples = list(source.frames(60))
        assert source.average_fps == pytest.approx(float(NTSC))
    assert [read_number(sample.rgb) for sample in samples] == list(range(50))
    assert [sample.pts_ns for sample in samples] == [round(i / NTSC * 10**9) for i in range(50)]


def test_plays_everywhere(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    write_video(path, [numbered_frame(i) for i in range(3)], 25)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    content = path.read_bytes()
    assert 0 < content.index(b"moov") < content.index(b"mdat")


def test_the_same_frames_give_the_same_bytes(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.mp4", "b.mp4")]
    for path in paths:
        write_video(path, [numbered_frame(i, 64, 48) for i in range(30)], 25)
    assert paths[0].read_bytes() == paths[1].read_bytes()


GOOD = np.zeros((32, 32, 3), np.uint8)


@pytest.mark.parametrize(
    "frames",
    [
        [],
        [GOOD[:31]],
        [GOOD[:, :31]],
        [GOOD[..., 0]],
        [GOOD[..., :2]],
        [GOOD.astype(np.float32)],
        [GOOD, GOOD[:16]],
    ],
    ids=["none", "odd height", "odd width", "no channels", "two channels", "floats", "two sizes"],
)
def test_refuses_what_is_no_video_and_leaves_nothing(tmp_path: Path, frames: list[np.ndarray]) -> None:
    path = tmp_path / "clip.mp4"
    with pytest.raises(ValueError, match="frame"):
        write_video(path, frames, 25)
    assert not path.exists()


def test_leaves_nothing_when_the_frames_fail(tmp_path: Path) -> None:
    def frames() -> object:
        yield GOOD
        raise RuntimeError("renderer broke")

    with pytest.raises(RuntimeError, match="renderer broke"):
        write_video(tmp_path / "clip.mp4", frames(), 25)
    assert list(tmp_path.iterdir()) == []
