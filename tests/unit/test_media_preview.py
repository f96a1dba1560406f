"""What people see of a source: every frame once, at its time of the stream, in files that stay few."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from fakes.preview import feed
from fakes.video import Clip, damage, read_number, steady, write_clip
from livestar.media import VideoSource
from livestar.media.hls import PLAYLIST, TIMING, RollingPlaylist

pytestmark = pytest.mark.unit

TICK = Fraction(1, 12_800)


def shown(folder: Path) -> list[tuple[int, float]]:
    """Number and time of the stream of every frame, as a player would say."""
    seen: list[tuple[int, float]] = []
    for segment in json.loads((folder / TIMING).read_text())["segments"]:
        with VideoSource.open(folder / segment["uri"]) as source:
            start_s = segment["pts_ns"] / 1e9
            seen += [(read_number(f.rgb), start_s + f.pts_ns / 1e9) for f in source.frames(100)]
    return seen


def clip(name: str = "clip.mp4", *, gop: int = 25, frames: int = 100, b_frames: int = 0, **more: int) -> Clip:
    return Clip(name, tuple(range(0, frames * 512, 512)), TICK, b_frames=b_frames, keyframe_every=gop, **more)


@pytest.mark.parametrize("b_frames", [0, 2])
def test_frequent_keyframes_are_copied(tmp_path: Path, b_frames: int) -> None:
    playlist = RollingPlaylist(tmp_path)
    path = write_clip(clip(b_frames=b_frames), tmp_path)
    feed(path, playlist, Fraction(7))
    assert [(s.start, s.duration) for s in playlist.segments] == [
        (Fraction(7 + k), Fraction(1)) for k in range(4)
    ]
    assert [number for number, _ in shown(tmp_path)] == list(range(100))
    assert [time for _, time in shown(tmp_path)] == pytest.approx([7 + k / 25 for k in range(100)], abs=1e-4)
    with VideoSource.open(path) as source, VideoSource.open(tmp_path / "seg-000001.ts") as copied:
        for original, copy in zip(source.frames(25), copied.frames(25), strict=False):
            assert np.array_equal(original.rgb, copy.rgb), "bit for bit"


@pytest.mark.parametrize("name", ["rare.mp4", "other.avi"])
def test_what_players_would_wait_for_is_encoded(tmp_path: Path, name: str) -> None:
    playlist = RollingPlaylist(tmp_path)
    source = clip(name, gop=250) if name == "rare.mp4" else steady(name, 100, step=1, tick=Fraction(1, 25))
    feed(write_clip(source, tmp_path), playlist)
    assert [segment.duration for segment in playlist.segments] == [1] * 4
    assert [number for number, _ in shown(tmp_path)] == list(range(100))
    assert [time for _, time in shown(tmp_path)] == pytest.approx([k / 25 for k in range(100)], abs=1e-4)


def test_a_live_source_with_rare_keyframes_is_encoded_once_that_is_known(tmp_path: Path) -> None:
    """A transport stream has no index: the first four seconds are copied."""
    playlist = RollingPlaylist(tmp_path)
    feed(write_clip(clip("live.ts", gop=500, frames=250), tmp_path), playlist)
    assert [number for number, _ in shown(tmp_path)] == list(range(250))
    assert 3.9 < playlist.segments[0].duration < 4.2
    assert [segment.follows for segment in playlist.segments[:3]] == [False, False, True]
    assert max(segment.duration for segment in playlist.segments[1:]) <= 1


def test_a_phone_is_shown_upright(tmp_path: Path) -> None:
    playlist = RollingPlaylist(tmp_path)
    feed(write_clip(clip(turned=90, size=(64, 32)), tmp_path), playlist)
    with VideoSource.open(tmp_path / playlist.segments[0].name) as source:
        assert (source.width, source.height) == (32, 64)


def test_large_frames_are_made_small(tmp_path: Path) -> None:
    playlist = RollingPlaylist(tmp_path)
    feed(write_clip(clip("big.mp4", gop=250, size=(1280, 320)), tmp_path), playlist)
    with VideoSource.open(tmp_path / playlist.segments[0].name) as source:
        assert (source.width, source.height) == (640, 160)


def test_the_playlist_rolls_and_the_disk_stays_bounded(tmp_path: Path) -> None:
    playlist = RollingPlaylist(tmp_path, keep=3)
    source = write_clip(clip(frames=250), tmp_path)
    feed(source, playlist)
    source.unlink()
    text = (tmp_path / PLAYLIST).read_text()
    assert "#EXT-X-MEDIA-SEQUENCE:8\n" in text
    assert text.count("#EXTINF:1.000000") == 3
    assert "#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:07.000Z\n#EXTINF" in text
    assert "ENDLIST" not in text
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        PLAYLIST,
        *(f"seg-{number:06d}.ts" for number in range(5, 11)),
        TIMING,
    ]
    playlist.end()
    assert (tmp_path / PLAYLIST).read_text().endswith("#EXT-X-ENDLIST\n")


def test_another_source_goes_on_behind_a_break(tmp_path: Path) -> None:
    playlist = RollingPlaylist(tmp_path)
    path = write_clip(clip(frames=50), tmp_path)
    feed(path, playlist)
    feed(path, playlist, Fraction(2))
    assert [segment.follows for segment in playlist.segments] == [False, True, False, True]
    playlist.end()
    assert (tmp_path / PLAYLIST).read_text().count("#EXT-X-DISCONTINUITY\n") == 1
    with VideoSource.open(tmp_path / PLAYLIST) as source:
        assert [read_number(f.rgb) for f in source.frames(25)] == [*range(50), *range(50)]


def test_damage_costs_the_damaged_pictures_only(tmp_path: Path) -> None:
    playlist = RollingPlaylist(tmp_path)
    path = write_clip(clip(), tmp_path)
    damage(path, range(30, 35))
    feed(path, playlist)
    numbers = [number for number, _ in shown(tmp_path)]
    assert numbers[:30] == list(range(30))
    assert numbers[-50:] == list(range(50, 100))
