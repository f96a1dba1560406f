from __future__ import annotations

import re
from math import floor
from pathlib import Path

import numpy as np
import pytest

from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import read_conversations, read_narrated_videos
from livestar.evaluation.synth_annotations import read_synth_annotations
from livestar.evaluation.synth_export import export_clip
from livestar.media import VideoSource
from livestar.synth import Split, families, make_clip, parse_facts
from livestar.synth.contact_sheet import contact_sheet

pytestmark = pytest.mark.unit

FAMILIES = [family.name for family in families()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("synth") / "clips"
    export_clip("weather", 4, 20, folder, fps=5, size=112)
    export_clip("court", 9, 21.5, folder, fps=5, size=112, split=Split.TRAIN)
    export_clip("weather", 4, 20, folder, fps=5, size=112)
    return folder


def test_the_folder_holds_each_clip_once(folder: Path) -> None:
    court, weather = read_synth_annotations(folder / "synthstar.jsonl")
    assert (court.video_id, court.split, court.seconds) == ("court-9", "train", 21.5)
    assert (weather.video_id, weather.split, weather.fps, weather.size) == ("weather-4", "test", 5, 112)
    for clip in (court, weather):
        assert (folder / clip.video).stat().st_size > 10_000


def test_the_annotations_are_those_of_the_clip(folder: Path) -> None:
    weather = read_synth_annotations(folder / "synthstar.jsonl")[1]
    clip = make_clip("weather", 4, 20)
    assert [(e.start_s, e.narration) for e in weather.events] == [
        (e.start_s, e.narration) for e in clip.events
    ]
    assert all(parse_facts("weather", e.narration) == e.facts for e in weather.events)
    assert [g.query for g in weather.otg] == [g.query for g in clip.groundings]
    assert [q.answers for q in weather.fdq] == [q.answers for q in clip.standing_questions]
    assert [len(chain) for chain in weather.coq] == [len(chain.turns) for chain in clip.question_chains]
    assert len(weather.miq) == len(clip.question_rounds)


def test_omnistars_files_stamp_each_event_with_its_last_second(folder: Path) -> None:
    for video, clip in zip(
        read_narrated_videos(folder / "RNG_task_eval.txt"),
        read_synth_annotations(folder / "synthstar.jsonl"),
        strict=True,
    ):
        assert video.path == clip.video
        inner = [floor(e.end_s) for e in clip.events[:-1]]
        assert [c.time_s for c in video.captions] == [*inner, clip.num_frames - 1]
        assert [c.text for c in video.captions] == [e.narration for e in clip.events]


def test_conversations_name_frames_that_exist(folder: Path) -> None:
    for talk in read_conversations(folder / "RNG_task_eval.jsonl"):
        assert all((folder / image).is_file() for image in talk.images)
        numbers = re.findall(r"Frame-(\d+): <image>", "".join(t.text for t in talk.turns))
        assert [int(n) for n in numbers] == list(range(1, len(talk.images) + 1))


def test_the_video_shows_the_clip(folder: Path) -> None:
    clip = make_clip("weather", 4, 20)
    with VideoSource.open(folder / "weather-4.mp4") as source:
        frames = list(source.frames(fps=1))
    assert len(frames) == 20
    for second, sampled in enumerate(frames):
        assert np.abs(sampled.rgb.astype(int) - clip.render(second, 112)).mean() < 8


def test_exporting_again_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    export_clip("weather", 4, 20, tmp_path, fps=5, size=112)
    for name in ("weather-4.mp4", "weather-4/00007.jpg"):
        assert (tmp_path / name).read_bytes() == (folder / name).read_bytes()


@pytest.mark.parametrize("text", ["{}", "nothing", '{"video_id": 3}'])
def test_a_broken_line_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "synthstar.jsonl"
    path.write_text(f"{text}\n", encoding="utf-8")
    with pytest.raises(BadAnnotation, match=re.escape(f"{path}:1:")):
        read_synth_annotations(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadAnnotation, match=r"nowhere\.jsonl"):
        read_synth_annotations(tmp_path / "nowhere.jsonl")


def test_a_contact_sheet_has_a_row_for_each_clip() -> None:
    sheet = contact_sheet([make_clip(family, 0, 20) for family in FAMILIES[:2]], columns=3, size=64)
    assert sheet.shape[0] == 2 * (64 + 46)
    assert sheet.shape[1] == 3 * (64 + 4)
