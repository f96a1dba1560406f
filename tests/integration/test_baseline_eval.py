"""Scores of a comparison: one short clip a family through every method, and the rule that calibrates them."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from livestar.core.errors import CheckpointError
from livestar.evaluation import baseline_eval
from livestar.evaluation.baseline_jobs import run_all
from livestar.evaluation.baseline_scores import margins, objective, scores, sem_cor
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synthstar_watched import Said, Watched
from livestar.synth import make_clip
from livestar.training.compare import METHOD_FILE

pytestmark = pytest.mark.integration

CLIP = annotate(make_clip("parking", 1, 30), 1, 64)
METHODS = ("scam-paper", "eos", "head", "causal")


def truth(clip=CLIP, *, late: int = 0) -> Watched:
    said = tuple(Said(-int(-event.start_s // 1) + late, event.narration) for event in clip.events)
    return Watched(clip, 30, 0.0, said=said)


def test_the_true_narration_is_perfectly_correct() -> None:
    assert len(CLIP.events) > 2
    row = scores([truth()])
    assert (row["sem_cor"], row["tim_diff_s"], row["tim_redun"], row["tim_cover"]) == (1.0, 0.0, 0.0, 1.0)
    assert objective(row) == 1.0
    assert objective(scores([truth(late=1)])) == pytest.approx(0.9)


def test_a_missed_event_counts_nothing_and_only_its_first_caption_counts() -> None:
    watched = truth()
    missed = replace(watched, said=watched.said[1:])
    assert sem_cor([missed]) == pytest.approx(1 - 1 / len(CLIP.events))
    wrong_first = replace(watched, said=(Said(0, "Nothing."), *watched.said))
    assert sem_cor([wrong_first]) == pytest.approx(1 - 1 / len(CLIP.events))
    assert sem_cor([replace(watched, said=())]) == 0


def test_a_fact_that_was_not_told_lowers_the_f1() -> None:
    event = max(CLIP.events, key=lambda e: len(e.facts))
    richer = event.model_copy(update={"facts": {**event.facts, "made_up": "x"}, "start_s": 0.0})
    clip = CLIP.model_copy(update={"events": (richer,)})
    right, true = len(event.facts), len(event.facts) + 1
    watched = Watched(clip, 30, 0.0, said=(Said(0, event.narration),))
    assert sem_cor([watched]) == pytest.approx(2 * right / (right + true))


def test_margins_are_relative_to_eos_and_to_the_best_of_the_others() -> None:
    rows = {
        "scam-paper": {"sem_cor": 0.9, "tim_diff_s": 0.4},
        "eos": {"sem_cor": 0.6, "tim_diff_s": 0.8},
        "causal": {"sem_cor": 0.75, "tim_diff_s": 1.0},
    }
    found = margins(rows, ("scam-paper", "scam-released"), "eos")
    assert list(found) == ["scam-paper"]
    against = found["scam-paper"]
    assert against["against eos"]["sem_cor"]["relative"] == pytest.approx(0.5)
    assert against["against eos"]["tim_diff_s"]["relative"] == pytest.approx(-0.5)
    assert against["against the best"]["sem_cor"] == {
        "rival": "causal", "ours": 0.9, "theirs": 0.75, "relative": 0.2,
    }  # fmt: skip
    assert against["against the best"]["tim_diff_s"]["rival"] == "eos"


@pytest.fixture(scope="module")
def run(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run whose methods were never trained."""
    folder = tmp_path_factory.mktemp("comparison")
    for name in METHODS:
        shutil.copytree(tiny_checkpoint, folder / name)
        (folder / name / METHOD_FILE).write_text(json.dumps({"method": name, "steps": 0}))
    return folder


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_every_method_is_calibrated_and_examined(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "report.json"
    arguments = [
        "--run", str(run), "--out", str(out), "--val-seeds", "0:1", "--test-seeds", "0:2", "--seconds", "5",
        "--families", "parking", "--alphas", "1.5", "6", "--thresholds", "0.0", "1.1", "--processes", "2",
    ]  # fmt: skip
    baseline_eval.main(arguments)
    report = json.loads(out.read_text())
    assert list(report["methods"]) == list(METHODS)
    assert (report["validation_clips"], report["test_clips"], report["test_clips_left_out"]) == (1, 2, 0)
    for name, ways in (("scam-paper", 2), ("eos", 2), ("head", 2), ("causal", 4)):
        row = report["methods"][name]
        assert len(row["calibration"]) == ways
        best = max(row["calibration"], key=lambda tried: tried["objective"])
        assert row["served"] == best["served"]
        assert row["overall"]["clips"] == row["families"]["parking"]["clips"] == 2
    assert set(report["margins"]) == {"scam-paper"}
    said = [json.loads(line) for line in out.with_suffix(".said.jsonl").read_text().splitlines()]
    assert len(said) == 10 + 4 * 2
    assert out.with_suffix(".png").stat().st_size > 1000


class Slow:
    """A job for the main process."""

    def __call__(self) -> int:
        return 1


def test_what_is_late_is_left_out() -> None:
    from concurrent.futures import ThreadPoolExecutor
    from threading import Event
    from time import monotonic

    gate = Event()
    jobs = [Slow(), gate.wait, Slow()]
    with ThreadPoolExecutor(1) as pool:
        done = run_all(pool, jobs, "work", monotonic() + 0.5)
        gate.set()
    assert done == {jobs[0]: 1}


def test_a_folder_without_methods_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no method"):
        baseline_eval.main(["--run", str(tmp_path), "--out", str(tmp_path / "report.json")])


@pytest.mark.parametrize("name", ["livestar.training.compare", "livestar.evaluation.baseline_eval"])
@pytest.mark.slow
def test_neither_program_needs_av_typer_or_rich(name: str) -> None:
    script = f"import sys, {name}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not {"av", "typer", "rich", "matplotlib"} & set(done.stdout.split())
