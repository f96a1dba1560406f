from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from livestar.client.cli import main
from livestar.core.decision import Decision
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, GateSettings, Mode
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synth_export import export_clip
from livestar.evaluation.synthstar_forced import force
from livestar.evaluation.synthstar_watch import DEFAULT_STREAM, SeenFrame, WatchSettings, see, watch_seen
from livestar.evaluation.synthstar_watched import Task
from livestar.model import LoadedModel
from livestar.synth import make_clip

pytestmark = pytest.mark.integration

CLIP = make_clip("parking", 1, 12)
ANNOTATIONS = annotate(CLIP, fps=5, size=64)
SCORES = {
    "facts_right", "facts_told", "facts_recall", "sem_cor", "fluency", "tim_cover", "tim_redun", "tim_diff_s",
    "tim_diff_cumulative_s", "fdq_exact", "coq_exact", "miq_exact", "otg_iou", "ppl", "tok_acc", "frames_per_s", "clips",
}  # fmt: skip
STREAM = replace(DEFAULT_STREAM, max_caption_tokens=12)


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LoadedModel:
    return LoadedModel.from_directory(tiny_checkpoint)


@pytest.fixture(scope="module")
def seen(model: LoadedModel) -> list[SeenFrame]:
    return list(see(model, (CLIP.render(second, 64) for second in range(12))))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    for family in ("parking", "weather"):
        export_clip(family, 1, 6, folder, fps=5, size=64)
    return folder


def evaluate(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    monkeypatch.setattr(sys, "argv", ["livestar", "eval", *map(str, arguments)])
    with pytest.raises(SystemExit) as left:
        main()
    return int(left.value.code or 0)


def test_every_task_leaves_something_at_every_frame(model: LoadedModel, seen: list[SeenFrame]) -> None:
    got = watch_seen(model, ANNOTATIONS, seen, WatchSettings(STREAM))
    assert got.num_frames == 12
    assert got.said
    assert got.said[0].second == 0
    assert [len(held) for held in got.held] == [12] * len(ANNOTATIONS.fdq)
    assert [len(nlls) for nlls in got.query_nlls] == [12] * len(ANNOTATIONS.otg)
    assert sorted(a.turn.time_s for a in got.coq) == sorted(t.time_s for c in ANNOTATIONS.coq for t in c)
    assert len(got.miq) == sum(len(chain) for chains in ANNOTATIONS.miq for chain in chains)
    assert len(got.forced) == len(ANNOTATIONS.events)
    assert got.busy_s > sum(frame.busy_s for frame in seen)


def test_questions_do_not_change_the_narration(model: LoadedModel, seen: list[SeenFrame]) -> None:
    everything = watch_seen(model, ANNOTATIONS, seen, WatchSettings(STREAM))
    alone = watch_seen(model, ANNOTATIONS, seen, WatchSettings(STREAM, tasks=frozenset({Task.RNG})))
    assert everything.said == alone.said
    assert (alone.held, alone.query_nlls, alone.coq, alone.miq) == ((), (), (), ())


def test_mode_reference_has_no_standing_questions(model: LoadedModel, seen: list[SeenFrame]) -> None:
    settings = WatchSettings(replace(STREAM, mode=Mode.REFERENCE, max_trunk_tokens=4000))
    got = watch_seen(model, ANNOTATIONS, seen[:4], settings)
    assert got.said
    assert got.coq
    assert (got.held, got.query_nlls) == ((), ())


def test_teacher_forcing_agrees_with_the_engine(model: LoadedModel, seen: list[SeenFrame]) -> None:
    """Until the first event ends, the trunk holds its frames alone: a probe then measures what teacher forcing does."""
    first, name = ANNOTATIONS.events[0], StreamId("probed")
    engine = Engine.of(model)
    engine.open_stream(name, replace(STREAM, gate=GateSettings(1e6)))
    engine.probe(name, first.narration, channel="first")
    nlls = []
    for second in range(ANNOTATIONS.last_seconds[0] + 1):
        engine.submit_frame(name, EncodedFrame(FrameNumber(second + 1), second, seen[second].tokens))
        events = list(engine.run_until_idle())
        nlls += [e.nll for e in events if isinstance(e, Decision) and e.channel == "first"]
    tokens = [frame.tokens for frame in seen]
    assert force(model, ANNOTATIONS, tokens, STREAM)[0].nll == pytest.approx(nlls[-1], rel=1e-4)


def test_teacher_forcing_takes_the_events_that_fit(model: LoadedModel, seen: list[SeenFrame]) -> None:
    tokens = [frame.tokens for frame in seen]
    whole = force(model, ANNOTATIONS, tokens, STREAM)
    short = force(model, ANNOTATIONS, tokens, replace(STREAM, max_trunk_tokens=400))
    assert 0 < len(short) < len(whole)
    assert [each.nll for each in short] == pytest.approx([each.nll for each in whole[: len(short)]], rel=1e-4)


def test_eval_prints_json(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, folder: Path
) -> None:
    assert (
        evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", folder, "--json", "--alpha", "1.2") == 0
    )
    got = json.loads(capsys.readouterr().out)
    assert sum(row["clips"] for row in got["novelty"].values()) == got["overall"]["clips"]
    assert list(got["families"]) == ["parking", "weather"]
    for row in (got["overall"], *got["families"].values()):
        assert set(row) == SCORES
        assert row["tim_cover"] > 0
        assert row["ppl"] > 1
        assert 0 <= row["otg_iou"] <= 1
    assert got["overall"]["clips"] == 2


def test_eval_prints_a_table_of_some_tasks(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, folder: Path
) -> None:
    options = ("--tasks", "rng,otg", "--limit", "1", "--question-alpha", "2")
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", folder, *options) == 0
    printed = [line.split() for line in capsys.readouterr().out.splitlines()]
    parking, overall = ([row[1:] for row in printed if row[:1] == [name]] for name in ("parking", "overall"))
    assert parking == overall
    said, when, others = overall
    assert (len(said), len(when)) == (7, 4)
    assert others[:3] == ["-", "-", "-"]
    assert others[-1] == "1"


@pytest.mark.slow
def test_eval_draws_curves(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_checkpoint: Path,
    folder: Path,
    tmp_path: Path,
) -> None:
    options = ("--tasks", "rng", "--limit", "1", "--alphas", "1.0,1000", "--memories", "600,all", "--json")
    where = ("--model", tiny_checkpoint, "--data", folder, "--plots", tmp_path / "new" / "plots")
    assert evaluate(monkeypatch, *where, *options) == 0
    got = json.loads(capsys.readouterr().out)
    assert [point["alpha"] for point in got["alpha_curve"]] == [1, 1000]
    assert [point["max_trunk_tokens"] for point in got["memory_curve"]] == [600, None]
    eager, silent = got["alpha_curve"]
    assert eager["tim_redun"] > silent["tim_redun"] == 0
    assert got["settings"]["memory"] == "token-budget"
    events = len(annotate(make_clip("parking", 1, 6), 5, 64).events)
    assert sum(got["delays_s"]["counts"]) + got["delays_s"]["missed"] == events
    assert {path.name for path in (tmp_path / "new" / "plots").iterdir()} == {
        "alpha.png", "delays.png", "memory.png",
    }  # fmt: skip


@pytest.mark.slow
def test_several_processes_score_as_one_does(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, folder: Path
) -> None:
    scores = []
    for processes in ("1", "2"):
        where = ("--model", tiny_checkpoint, "--data", folder, "--json", "--processes", processes)
        assert evaluate(monkeypatch, *where) == 0
        got = json.loads(capsys.readouterr().out)
        for row in (got["overall"], *got["families"].values(), *got["novelty"].values()):
            del row["frames_per_s"]
        scores.append(got)
    assert scores[0] == scores[1]


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--alphas", "1.0,high", "1.0,high"),
        ("--alphas", "0.9", "alpha is at least 1"),
        ("--memories", "300,most", "300,most"),
        ("--memory", "elephant", "'elephant'"),
        ("--processes", "0", "greater than or equal to 1"),
        ("--tasks", "rng,sums", "'sums'"),
        ("--mode", "loud", "'loud'"),
        ("--alpha", "0.5", "alpha is at least 1"),
    ],
)
def test_eval_refuses_what_it_does_not_know(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tiny_checkpoint: Path,
    folder: Path,
    option: str,
    value: str,
    message: str,
) -> None:
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", folder, option, value) == 2
    assert message in capsys.readouterr().err


def test_a_video_that_is_too_short_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, tmp_path: Path
) -> None:
    export_clip("weather", 2, 12, tmp_path, fps=5, size=64)
    long = (tmp_path / "synthstar.jsonl").read_bytes()
    export_clip("weather", 2, 6, tmp_path, fps=5, size=64)
    (tmp_path / "synthstar.jsonl").write_bytes(long)
    assert evaluate(monkeypatch, "--model", tiny_checkpoint, "--data", tmp_path, "--tasks", "rng") == 2
    assert "6 of 12" in "".join(capsys.readouterr().err.split("\n"))
