"""`livestar synth` and `livestar demo`, as a newcomer types them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from e2e.command import Outcome
from livestar.evaluation.omnistar import read_conversations, read_narrated_videos
from livestar.media import VideoSource
from livestar.synth import families

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


def test_the_demo_narrates_what_happens_with_the_shipped_model(enter: Enter) -> None:
    got = enter("demo", "--seconds", "10", "--json")
    assert got.status == 0, got.err
    decisions = [json.loads(line) for line in got.out.splitlines()]
    narration = [row for row in decisions if row["channel"] == "narration"]
    assert [row["frame"] for row in narration] == list(range(1, 11))
    spoken = {row["pts_s"]: row["text"] for row in narration if row["action"] == "speak"}
    assert list(spoken) == [0.0, 7.0], "the light is green, and at 6.9 s a blue car comes"
    assert "green" in spoken[0.0]
    assert "blue car" in spoken[7.0]
