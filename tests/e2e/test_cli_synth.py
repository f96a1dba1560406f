"""`livestar synth` and the shipped clip, as a newcomer meets them."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path

import av
import pytest

from e2e.command import Outcome
from livestar.client.sample_clip import FAMILY, SAMPLE, SECONDS, SIZE, sample_truth
from livestar.evaluation.omnistar import read_conversations, read_narrated_videos
from livestar.media import VideoSource
from livestar.synth import families, parse_facts

pytestmark = pytest.mark.e2e

Enter = Callable[..., Outcome]


def test_families_are_listed(enter: Enter) -> None:
    got = enter("synth", "families")
    assert got.status == 0
    assert all(family.name in got.out for family in families())


def test_a_rendered_clip_is_a_video_with_annotations_in_published_formats(
    enter: Enter, tmp_path: Path
) -> None:
    options = ["--seed", "5", "--seconds", "6", "--fps", "4", "--size", "64", "--out", str(tmp_path)]
    got = enter("synth", "render", "--family", "parking", *options)
    assert (got.status, got.out.strip()) == (0, str(tmp_path / "parking-5.mp4"))
    with VideoSource.open(tmp_path / "parking-5.mp4") as video:
        assert (video.width, video.height, video.duration_s) == (64, 64, 6.0)
    [narrated] = read_narrated_videos(tmp_path / "RNG_task_eval.txt")
    [conversation] = read_conversations(tmp_path / "RNG_task_eval.jsonl")
    assert narrated.video_id == "parking-5"
    assert len(conversation.images) == 6


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--family cars --seed 1 --seconds 6", "there is no family 'cars': choose one of traffic"),
        ("--family court --seed 1 --seconds 1", "--seconds is from 3 to 3600"),
        ("--family court --seed -1 --seconds 6", "--seed is from 0"),
        ("--family court --seed 1 --seconds 6 --size 65", "--size is even"),
    ],
)
def test_bad_options_are_one_sentence(enter: Enter, tmp_path: Path, options: str, message: str) -> None:
    got = enter("synth", "render", *options.split(), "--out", str(tmp_path))
    assert got.status == 2
    assert message in " ".join(got.err.split())
    assert "Traceback" not in got.err


def test_the_shipped_model_tells_the_shipped_clip(enter: Enter) -> None:
    """The first words that a newcomer reads are right, and so is what follows."""
    got = enter("demo", "--local", "--seconds", "13", "--json")
    assert got.status == 0, got.err
    decisions = [json.loads(line) for line in got.out.splitlines()]
    narration = [row for row in decisions if row["channel"] == "narration"]
    assert [row["frame"] for row in narration] == list(range(1, 14))
    spoken = [row for row in narration if row["action"] == "speak"]
    events = sample_truth().events
    for index, row in enumerate(spoken[:1] + spoken[-1:]):
        event = next(event for event in reversed(events) if event.start_s <= row["pts_s"])
        assert parse_facts(FAMILY, row["text"]) == dict(event.facts), f"{index}: {row}"
    assert len(spoken) >= 3
    answers = {row["pts_s"]: row["text"] for row in decisions if row["channel"] == "q1"}
    assert "red" in answers[0.0].lower()


def test_the_shipped_clip_is_the_one_that_its_command_writes() -> None:
    """Looked at where scenes change; bytes depend on the encoder's version."""
    truth = sample_truth()
    with VideoSource.open(SAMPLE) as video:
        assert (video.width, video.height, video.duration_s) == (SIZE, SIZE, SECONDS)
        for frame in video.frames(0.2):
            drawn = truth.render(frame.pts_ns / 1e9, SIZE).astype(float)
            assert abs(frame.rgb.astype(float) - drawn).mean() < 6, f"at {frame.pts_ns / 1e9} s"


def test_the_shipped_clip_can_be_cut_every_second() -> None:
    """A player starts, and a live preview is cut, at keyframes."""
    assert SAMPLE.stat().st_size < 1_500_000
    with av.open(str(SAMPLE)) as container:
        packets = container.demux(container.streams.video[0])
        keys = [
            float(packet.pts * packet.time_base)
            for packet in packets
            if packet.is_keyframe and packet.pts is not None
        ]
    assert max(b - a for a, b in itertools.pairwise(keys)) <= 1.0
