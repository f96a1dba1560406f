"""Small deterministic clips in which every frame shows its own index, so that a test can read which it got."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.stream import Disposition
from numpy.typing import NDArray

CELL = 4
BITS = 16
CELLS_PER_ROW = 8
CLOCK_90K = Fraction(1, 90_000)
MILLISECONDS = Fraction(1, 1000)


@dataclass(frozen=True)
class Clip:
    """What to encode: frame i is presented at `pts[i]` ticks. The suffix of `name` chooses the container."""

    name: str
    pts: tuple[int, ...]
    tick: Fraction
    b_frames: int = 0
    turned: int = 0
    mirrored: bool = False
    size: tuple[int, int] = (32, 32)
    keyframe_every: int = 12


def steady(name: str, frames: int, *, step: int, tick: Fraction, start: int = 0, b_frames: int = 0) -> Clip:
    """A clip with a constant frame rate of 1 / (step * tick)."""
    return Clip(name, tuple(range(start, start + frames * step, step)), tick, b_frames)


def uneven(name: str, frames: int, *, tick: Fraction = CLOCK_90K) -> Clip:
    """A clip whose frame intervals run from 11 to 209 ms, with one pause of 2.7 s."""
    steps = np.random.default_rng(7).integers(11, 210, frames - 1)
    steps[frames // 2] = 2700
    pts = itertools.accumulate((int(step) for step in steps), initial=0)
    return Clip(name, tuple(int(ms * MILLISECONDS / tick) for ms in pts), tick)


CLIPS = (
    steady("ntsc.mp4", 240, step=1001, tick=Fraction(1, 30_000)),
    steady("ntsc_b_frames.mp4", 240, step=1001, tick=Fraction(1, 30_000), b_frames=3),
    steady("pal.mp4", 200, step=512, tick=Fraction(1, 12_800)),
    steady("sixty.mp4", 400, step=256, tick=Fraction(1, 15_360)),
    steady("late_start.mp4", 200, step=3600, tick=CLOCK_90K, start=7 * 90_000),
    steady("late_start_b_frames.ts", 200, step=3003, tick=CLOCK_90K, start=7 * 90_000, b_frames=2),
    steady("frame_clock.avi", 150, step=1, tick=Fraction(1, 25)),
    uneven("uneven.mp4", 150),
    uneven("uneven.mkv", 150, tick=MILLISECONDS),
)


def numbered_frame(index: int, width: int = 32, height: int = 32) -> NDArray[np.uint8]:
    """A square that wanders over grey, under two rows of black and white cells that spell `index`."""
    rgb = np.full((height, width, 3), 90, dtype=np.uint8)
    left, top = index * 2 % (width - 6), 10 + index % (height - 18)
    rgb[top : top + 6, left : left + 6] = (200, 60, 40)
    for bit in range(BITS):
        row, column = divmod(bit, CELLS_PER_ROW)
        rgb[row * CELL : (row + 1) * CELL, column * CELL : (column + 1) * CELL] = 255 * (index >> bit & 1)
    return rgb


def read_number(rgb: NDArray[np.uint8]) -> int:
    """The index that a decoded `numbered_frame` spells."""
    cells = (
        rgb[: 2 * CELL, : CELLS_PER_ROW * CELL].reshape(2, CELL, CELLS_PER_ROW, CELL, 3).mean(axis=(1, 3, 4))
    )
    return sum(int(cell > 127) << bit for bit, cell in enumerate(cells.ravel()))


def write_clip(clip: Clip, folder: Path) -> Path:
    """Encodes `clip` into `folder`: H.264, MPEG-4 in AVI."""
    path = folder / clip.name
    options = {"preset": "ultrafast", "crf": "16", "bf": str(clip.b_frames), "g": str(clip.keyframe_every)}
    with av.open(str(path), "w") as container:
        if path.suffix == ".avi":
            stream = container.add_stream("mpeg4", rate=1 / clip.tick, options={"qscale": "2"})
        else:
            stream = container.add_stream("libx264", rate=30, options=options)
        stream.width, stream.height = clip.size
        stream.pix_fmt = "yuv420p"
        stream.codec_context.time_base = clip.tick
        stream.thread_count = 1
        if clip.turned or clip.mirrored:
            stream.set_display_rotation(clip.turned, hflip=clip.mirrored)
        for index, pts in enumerate(clip.pts):
            frame = av.VideoFrame.from_ndarray(numbered_frame(index, *clip.size), format="rgb24")
            frame.pts, frame.time_base = pts, clip.tick
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_song(path: Path) -> None:
    """An MP4 of one second of silence with a cover: to FFmpeg, audio and a video of one picture."""
    with av.open(str(path), "w") as container:
        audio = container.add_stream("aac", rate=8000)
        cover = container.add_stream("mjpeg", rate=1)
        cover.width = cover.height = 32
        cover.pix_fmt = "yuvj420p"
        cover.disposition = Disposition.attached_pic
        container.mux(cover.encode(av.VideoFrame.from_ndarray(numbered_frame(0), format="rgb24")))
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.float32), format="fltp", layout="mono")
        silence.sample_rate = 8000
        container.mux([*audio.encode(silence), *audio.encode(None), *cover.encode(None)])


def listed_times(path: Path) -> list[Fraction]:
    """What `ffprobe -show_packets` lists, sorted: seconds of every frame from the first one, none decoded."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        pts = sorted(packet.pts for packet in container.demux(stream) if packet.pts is not None)
        return [(each - pts[0]) * stream.time_base for each in pts]


def damage(path: Path, packets: range) -> None:
    """Overwrites the payload of these packets of an MP4 with zeros."""
    with av.open(str(path)) as container:
        places = [(packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos is not None]
    content = bytearray(path.read_bytes())
    for index in packets:
        start, size = places[index]
        content[start : start + size] = bytes(size)
    path.write_bytes(content)
