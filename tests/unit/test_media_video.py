"""Which source frames are sampled, and when they say they are."""

from __future__ import annotations

import itertools
import resource
import sys
from bisect import bisect_left
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from fakes.video import (
    CLIPS,
    CLOCK_90K,
    MILLISECONDS,
    Clip,
    damage,
    listed_times,
    numbered_frame,
    read_number,
    steady,
    write_clip,
)
from livestar.core.errors import BadVideo
from livestar.media import VideoSource

pytestmark = pytest.mark.unit

TEN_MINUTES = steady("ten_minutes.mp4", 17_982, step=1001, tick=Fraction(1, 30_000))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("clips")


@pytest.fixture(scope="module")
def ten_minutes(folder: Path) -> Path:
    return write_clip(TEN_MINUTES, folder)


@pytest.fixture(scope="module", params=CLIPS, ids=lambda clip: clip.name)
def clip(request: pytest.FixtureRequest, folder: Path) -> Path:
    return write_clip(request.param, folder)


def wanted(times: list[Fraction], fps: Fraction, rounding: Fraction = Fraction(0)) -> list[int]:
    """The rule, literally: for each k the first frame at or after k / fps; each frame once."""
    slots = range(int((times[-1] + rounding) * fps) + 1)
    return [index for index, _ in itertools.groupby(bisect_left(times, k / fps - rounding) for k in slots)]


@pytest.mark.parametrize("fps", [0.3, 1, 2, 4, 7.3])
def test_samples_the_first_frame_of_every_slot(clip: Path, fps: float) -> None:
    times, rate = listed_times(clip), Fraction(str(fps))
    rounding = MILLISECONDS if clip.suffix == ".mkv" else Fraction(0)
    with VideoSource.open(clip) as source:
        samples = list(source.frames(fps))
    indices = wanted(times, rate, rounding)
    assert [read_number(sample.rgb) for sample in samples] == indices
    assert [sample.number for sample in samples] == list(range(1, len(samples) + 1))
    assert [sample.pts_ns for sample in samples] == [round(times[i] * 10**9) for i in indices]
    assert [sample.slot for sample in samples] == [int((times[i] + rounding) * rate) for i in indices]


@pytest.mark.parametrize("fps", [100, 1e9])
def test_more_samples_than_frames_yields_every_frame(clip: Path, fps: float) -> None:
    times = listed_times(clip)
    with VideoSource.open(clip) as source:
        samples = list(source.frames(fps))
    assert [read_number(sample.rgb) for sample in samples] == list(range(len(times)))
    assert [sample.pts_ns for sample in samples] == [round(time * 10**9) for time in times]
    assert samples[0].slot == 0


def test_ten_minutes_of_ntsc_do_not_drift(ten_minutes: Path) -> None:
    times = listed_times(ten_minutes)
    with VideoSource.open(ten_minutes) as source:
        samples = [(sample.slot, sample.pts_ns, read_number(sample.rgb)) for sample in source.frames(1)]
    assert [slot for slot, _, _ in samples] == list(range(600))
    assert [number for _, _, number in samples] == wanted(times, Fraction(1))
    assert max(pts_ns - slot * 10**9 for slot, pts_ns, _ in samples) < 1_001_000_000 / 30


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_does_not_grow_with_the_video(ten_minutes: Path) -> None:
    with VideoSource.open(ten_minutes) as source:
        for sample in source.frames(60):
            if sample.number == 1000:
                early = resident_bytes()
        grown = resident_bytes() - early
    assert sample.number == 17_982
    assert grown < 8 * 2**20, "all frames together are 55 MB"


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * resource.getpagesize()


def test_a_millisecond_clock_does_not_lose_frames(tmp_path: Path) -> None:
    """Live RTMP and Matroska round 33.3 ms to 33 or 34: frame 1 seems to come before its slot at 30 fps."""
    pts = tuple(round(i * 1000 / 30) for i in range(90))
    path = write_clip(Clip("thirty.mkv", pts, MILLISECONDS), tmp_path)
    with VideoSource.open(path) as source:
        assert [sample.slot for sample in source.frames(30)] == list(range(90))


def test_frames_without_timestamps_lie_at_the_nominal_rate(tmp_path: Path) -> None:
    path = write_clip(Clip("elementary.h264", tuple(range(60)), Fraction(1, 30), b_frames=2), tmp_path)
    with VideoSource.open(path) as source:
        samples = list(source.frames(3))
    assert [read_number(sample.rgb) for sample in samples] == [0, 10, 20, 30, 40, 50]
    assert samples[-1].pts_ns == round(50 / 30 * 10**9)


@pytest.mark.parametrize(("starts_s", "pause_s"), [((50, 2), 0), ((2, 50), 46)])
def test_a_source_whose_clock_jumps(tmp_path: Path, starts_s: tuple[int, int], pause_s: int) -> None:
    """Two seconds, then two more whose clock was set back (time goes on) or which come later (a pause)."""
    parts = [
        write_clip(steady(f"{s}.ts", 60, step=3000, tick=CLOCK_90K, start=s * 90_000), tmp_path)
        for s in starts_s
    ]
    joined = tmp_path / "joined.ts"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    with VideoSource.open(joined) as source:
        samples = list(source.frames(2))
    assert [read_number(sample.rgb) for sample in samples] == [0, 15, 30, 45] * 2
    assert [sample.number for sample in samples] == list(range(1, 9))
    assert [sample.slot for sample in samples] == [0, 1, 2, 3] + [k + 2 * pause_s for k in (4, 5, 6, 7)]


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
@pytest.mark.parametrize("mirrored", [False, True])
def test_frames_come_upright(tmp_path: Path, turned: int, mirrored: bool) -> None:
    clip = Clip("phone.mp4", (0, 1), Fraction(1, 25), turned=turned, mirrored=mirrored, size=(64, 32))
    with VideoSource.open(write_clip(clip, tmp_path)) as source:
        first = next(source.frames(1)).rgb
        size = source.width, source.height
    shown = np.rot90(numbered_frame(0, 64, 32), turned // 90)
    shown = shown[:, ::-1] if mirrored else shown
    assert size == (shown.shape[1], shown.shape[0])
    assert first.flags.c_contiguous
    assert np.abs(first.astype(int) - shown).mean() < 12


def test_properties(ten_minutes: Path) -> None:
    with VideoSource.open(str(ten_minutes)) as source:
        assert (source.width, source.height) == (32, 32)
        assert source.average_fps == pytest.approx(30_000 / 1001)
        assert source.duration_s == pytest.approx(600, abs=0.1)
        assert not source.is_live
        assert source.decode_errors == 0


def test_damage_in_the_middle_is_counted_and_survived(tmp_path: Path) -> None:
    path = write_clip(steady("damaged.mp4", 120, step=512, tick=Fraction(1, 12_800)), tmp_path)
    damage(path, range(40, 55))
    with VideoSource.open(path) as source:
        samples = list(source.frames(25))
        assert source.decode_errors == 15
    numbers = [read_number(sample.rgb) for sample in samples]
    assert numbers[:40] == list(range(40))
    assert numbers[-60:] == list(range(60, 120))
    assert [sample.slot for sample in samples] == [*range(40), *range(55, 120)]


def test_damage_without_end_stops(tmp_path: Path) -> None:
    path = write_clip(steady("ruined.mp4", 330, step=512, tick=Fraction(1, 12_800)), tmp_path)
    damage(path, range(10, 320))
    with (
        VideoSource.open(path) as source,
        pytest.raises(BadVideo, match=r"301 packets in a row .*: export it"),
    ):
        list(source.frames(1))


def test_is_read_once(ten_minutes: Path) -> None:
    with VideoSource.open(ten_minutes) as source:
        source.frames(1)
        with pytest.raises(ValueError, match="read once"):
            source.frames(1)


def test_closing_ends_the_frames(ten_minutes: Path) -> None:
    source = VideoSource.open(ten_minutes)
    frames = source.frames(1)
    next(frames)
    source.close()
    source.close()
    assert list(frames) == []
    with pytest.raises(ValueError, match="read once"):
        source.frames(1)


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_fps_is_positive(ten_minutes: Path, fps: float) -> None:
    with VideoSource.open(ten_minutes) as source, pytest.raises(ValueError, match="fps"):
        source.frames(fps)


@pytest.mark.parametrize("name", ["begun.mp4", "begun.ts", "begun.h264"])
@pytest.mark.parametrize("from_s", [Fraction(1, 3), Fraction(13, 3), 16, Fraction(50, 3), 60])
def test_beginning_later_gives_what_would_have_come(tmp_path: Path, name: str, from_s: Fraction) -> None:
    """By seeking where the source can (every 12th frame is a keyframe), by reading on where it cannot."""
    tick = Fraction(1, 30) if name.endswith("h264") else CLOCK_90K
    step = 1 if name.endswith("h264") else 3000
    path = write_clip(steady(name, 600, step=step, tick=tick, b_frames=2), tmp_path)
    with VideoSource.open(path) as source:
        whole = [(s.slot, s.pts_ns, read_number(s.rgb)) for s in source.frames(3)]
    with VideoSource.open(path) as source:
        later = [(s.slot, s.pts_ns, read_number(s.rgb)) for s in source.frames(3, from_s=Fraction(from_s))]
    assert later == [sample for sample in whole if sample[0] >= from_s * 3]
    assert len(later) == max(0, 60 - from_s * 3)


def test_a_tap_sees_every_packet_and_every_frame(tmp_path: Path) -> None:
    path = write_clip(steady("tapped.mp4", 60, step=512, tick=Fraction(1, 12_800), b_frames=2), tmp_path)

    class Tap:
        packets = 0
        times: list[Fraction] = []  # noqa: RUF012

        def packet(self, packet: Packet[VideoStream]) -> None:
            assert packet.size
            self.packets += 1

        def frame(self, frame: VideoFrame, time: Fraction) -> None:
            assert frame.width == 32
            self.times.append(time)

    tap = Tap()
    with VideoSource.open(path, tap=tap) as source:
        list(source.frames(1))
    assert tap.packets == 60
    assert tap.times == [Fraction(k, 25) for k in range(60)]


def test_what_a_tap_raises_ends_the_reading(tmp_path: Path) -> None:
    path = write_clip(steady("tapped.mp4", 60, step=512, tick=Fraction(1, 12_800)), tmp_path)

    class Enough(Exception):
        pass

    class Tap:
        def packet(self, packet: Packet[VideoStream]) -> None:
            pass

        def frame(self, _: VideoFrame, time: Fraction) -> None:
            if time >= 1:
                raise Enough

    with VideoSource.open(path, tap=Tap()) as source, pytest.raises(Enough):
        list(source.frames(25))
