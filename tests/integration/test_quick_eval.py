from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from livestar.core.errors import InvalidInput
from livestar.engine import Mode
from livestar.evaluation import quick_eval
from livestar.evaluation.memory_choice import MemoryChoice
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synthstar_watch import DEFAULT_STREAM, SeenFrame, WatchSettings, see, watch_variants
from livestar.evaluation.synthstar_watched import Task, Watched
from livestar.model import LoadedModel
from livestar.synth import Split, make_clip

pytestmark = pytest.mark.integration

STREAM = replace(DEFAULT_STREAM, max_caption_tokens=12)
CLIP = make_clip("parking", 1, 30)
ANNOTATIONS = annotate(CLIP, 1, 64)
NARRATION = frozenset({Task.RNG})


def lines(capsys: pytest.CaptureFixture[str], checkpoint: Path, options: str) -> list[dict[str, object]]:
    quick_eval.main(["--model", str(checkpoint), *options.split()])
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def timeless(watched: Watched) -> Watched:
    return replace(watched, busy_s=1)


def test_a_line_for_each_alpha(capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path) -> None:
    options = "--seeds 3:5 --seconds 5 --families court --tasks rng fdq --split test --alpha 1.0 1000"
    eager, silent = lines(capsys, tiny_checkpoint, options)
    assert (eager["alpha"], silent["alpha"], silent["question_alpha"]) == (1.0, 1000.0, 1000.0)
    assert (eager["split"], eager["seeds"], eager["seconds"]) == ("test", [3, 5], 5)
    assert (eager["mode"], eager["memory"], eager["max_trunk_tokens"]) == ("branch", "token-budget", 6000)
    of_eager, of_silent = eager["overall"], silent["overall"]
    assert isinstance(of_eager, dict)
    assert isinstance(of_silent, dict)
    assert of_eager["clips"] == 2
    assert of_eager["tim_redun"] >= of_silent["tim_redun"] == 0
    assert of_eager["coq_exact"] is None
    assert isinstance(eager["families"], dict)
    assert eager["families"]["court"].keys() == of_eager.keys()


def test_a_line_for_each_memory_and_budget(capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path) -> None:
    options = "--seeds 1 --seconds 5 --families court --tasks rng --max-trunk-tokens 700 1000"
    got = lines(capsys, tiny_checkpoint, f"{options} --memory fifo peak-end keep-everything")
    assert [(line["memory"], line["max_trunk_tokens"]) for line in got] == [
        ("fifo", 700), ("fifo", 1000), ("peak-end", 700), ("peak-end", 1000), ("keep-everything", None),
    ]  # fmt: skip


def test_mode_reference(capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path) -> None:
    (line,) = lines(capsys, tiny_checkpoint, "--seeds 1 --seconds 4 --families court --mode reference")
    assert line["mode"] == "reference"
    assert isinstance(line["overall"], dict)
    assert line["overall"]["fdq_exact"] is None
    assert line["overall"]["coq_exact"] is not None


@pytest.mark.parametrize(
    "options", ["--alpha 0.5", "--memory elephant", "--mode loud", "--max-trunk-tokens 0"]
)
def test_what_does_not_exist_is_refused(
    capsys: pytest.CaptureFixture[str], tiny_checkpoint: Path, options: str
) -> None:
    with pytest.raises(SystemExit, match="2"):
        lines(capsys, tiny_checkpoint, f"--seconds 4 {options}")
    assert "error" in capsys.readouterr().err


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> LoadedModel:
    return LoadedModel.from_directory(tiny_checkpoint)


@pytest.fixture(scope="module")
def seen(model: LoadedModel) -> list[SeenFrame]:
    return list(see(model, (CLIP.render(second, 64) for second in range(30))))


@pytest.fixture(scope="module")
def by_memory(model: LoadedModel, seen: list[SeenFrame]) -> dict[MemoryChoice, Watched]:
    """The same clip with a budget that it does not fit."""
    stream = replace(STREAM, max_trunk_tokens=500)
    settings = [WatchSettings(stream, tasks=NARRATION, memory=memory) for memory in MemoryChoice]
    return dict(zip(MemoryChoice, watch_variants(model, ANNOTATIONS, seen, settings), strict=True))


def test_each_memory_forgets_in_its_own_way(by_memory: dict[MemoryChoice, Watched]) -> None:
    assert len({tuple(said.text for said in each.said or ()) for each in by_memory.values()}) > 3


def test_teacher_forcing_does_not_depend_on_the_memory(by_memory: dict[MemoryChoice, Watched]) -> None:
    assert len({each.forced for each in by_memory.values()}) == 1


def test_keeping_everything_is_a_budget_that_is_never_reached(
    by_memory: dict[MemoryChoice, Watched], model: LoadedModel, seen: list[SeenFrame]
) -> None:
    roomy = WatchSettings(replace(STREAM, max_trunk_tokens=5000), tasks=NARRATION)
    (got,) = watch_variants(model, ANNOTATIONS, seen, [roomy])
    assert got.said == by_memory[MemoryChoice.KEEP_EVERYTHING].said


def test_what_cannot_be_kept_is_not_said_to_be_kept(model: LoadedModel, seen: list[SeenFrame]) -> None:
    """Long questions leave fewer positions to the trunk than the frames take."""
    stream = replace(STREAM, max_question_tokens=31_500)
    settings = WatchSettings(stream, tasks=NARRATION, memory=MemoryChoice.KEEP_EVERYTHING)
    with pytest.raises(InvalidInput, match="parking-1 has 30 frames"):
        watch_variants(model, ANNOTATIONS, seen, [settings])


@pytest.mark.parametrize("mode", list(Mode))
def test_variants_watch_as_each_alone(model: LoadedModel, seen: list[SeenFrame], mode: Mode) -> None:
    settings = [WatchSettings(replace(STREAM, mode=mode, max_trunk_tokens=tokens)) for tokens in (600, 4000)]
    together = watch_variants(model, ANNOTATIONS, seen[:6], settings)
    alone = [watch_variants(model, ANNOTATIONS, seen[:6], [each])[0] for each in settings]
    assert list(map(timeless, together)) == list(map(timeless, alone))


@pytest.mark.slow
def test_several_processes_watch_as_one_does(tiny_checkpoint: Path) -> None:
    job = quick_eval.QuickEval(tiny_checkpoint, Split.VAL, 5, (WatchSettings(STREAM),))
    clips = [("court", 0), ("weather", 1), ("court", 2)]
    alone, together = (
        [list(map(timeless, row)) for row in quick_eval.watch_clips(job, clips, n)] for n in (1, 2)
    )
    assert alone == together


@pytest.mark.slow
def test_no_av_is_needed() -> None:
    script = "import sys, livestar.evaluation.quick_eval; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"av", "typer", "matplotlib", "openai"} & set(done.stdout.split())
