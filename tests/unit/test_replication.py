"""The replication report, on small made-up measurements."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from livestar.core.errors import BadAnnotation, FailedPrecondition, InvalidInput
from livestar.evaluation import replicate, replication
from livestar.evaluation.baseline_scores import margins
from livestar.evaluation.baseline_spread import FIGURES, spread, sums_of
from livestar.evaluation.replicate_plan import Place, Scale, Step, plan
from livestar.evaluation.replication_document import put
from livestar.evaluation.replication_results import (
    ALPHA,
    BASELINES,
    FILES,
    MEMORY_300,
    MEMORY_600,
    REFERENCE,
    SPEED,
    SPREAD,
    TEST,
    TRAINING,
    VALIDATION,
    Results,
)
from livestar.evaluation.replication_targets import GOALS, plateau, targets
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synthstar_scores import Scores
from livestar.synth import Split, make_clip

pytestmark = pytest.mark.unit

GOOD = Scores(
    facts_right=0.97, facts_recall=0.9, sem_cor=0.9, tim_cover=1.0, tim_redun=0.1, tim_diff_s=0.2, fdq_exact=0.95,
    coq_exact=0.95, miq_exact=0.95, otg_iou=0.9, clips=2,
).rounded()  # fmt: skip


def line(**changed) -> dict:
    """A line of quick_eval; scores in `changed` go into `overall`."""
    scores = {name: value for name, value in changed.items() if name in GOOD}
    settings = {name: value for name, value in changed.items() if name not in GOOD}
    return {
        "alpha": 1.25, "question_alpha": 2.0, "mode": "branch", "memory": "token-budget", "max_trunk_tokens": 1400,
        "split": "test", "seconds": 60.0, "seeds": [0, 2], "overall": GOOD | scores,
        "families": {"court": GOOD | {"miq_exact": 0.5}, "kitchen": GOOD}, "novelty": {"seed": GOOD},
    } | settings  # fmt: skip


def baselines() -> dict:
    scores = {"scam-paper": (0.9, 0.5), "scam-jitter": (0.96, 0.1), "eos": (0.8, 0.4), "causal": (0.85, 0.3)}
    rows = {name: GOOD | {"sem_cor": right, "tim_diff_s": late} for name, (right, late) in scores.items()}
    methods = {
        name: {
            "served": "alpha 1.15",
            "overall": row,
            "trained": {"steps": 7, "batch_size": 2, "warm": False},
        }
        for name, row in rows.items()
    }
    return {
        "rule": "largest score", "seconds": 60, "validation_clips": 1, "test_clips": 2, "methods": methods,
        "margins": margins(rows, ("scam-paper", "scam-jitter"), "eos"),
    }  # fmt: skip


def memories(seconds: float, *, whole: bool) -> list[dict]:
    right = {"token-budget": 0.9, "peak-end": 0.88, "uniform": 0.88, "fifo": 0.8}
    rows = [
        line(seconds=seconds, memory=name, max_trunk_tokens=300, sem_cor=f1) for name, f1 in right.items()
    ]
    return rows + ([line(seconds=seconds, memory="keep-everything", sem_cor=0.92)] if whole else [])


EVERYTHING: dict[str, list[dict]] = {
    TEST: [line()],
    VALIDATION: [line(alpha=a, split="val") for a in (1.25, 1.07)],
    BASELINES: [baselines()],
    SPREAD: [{
        "methods": {"eos": {f: [0.1, 0.95] for f in FIGURES}},
        "minus_reference": {"scam-jitter": {f: [-0.3, 0.1] for f in FIGURES}},
    }],
    TRAINING: [{"step": s, "minutes": s / 9, "losses": {m: {"caption": 3 / s, "decision": None} for m in ("scam-paper", "eos")}}
               for s in (1, 9)],
    ALPHA: [line(alpha=a, tim_redun=r) for a, r in ((1.0, 2.0), (1.03, 0.15), (1.3, 0.1), (3.0, 0.6))],
    REFERENCE: [line(alpha=a, mode="reference") for a in (1.03, 1.3)],
    MEMORY_300: memories(300, whole=False),
    MEMORY_600: memories(600, whole=True),
    SPEED: [{"overall": {"frames_per_s": 25.6}}],
}  # fmt: skip


def write(folder: Path, *names: str) -> Path:
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).write_text("\n".join(json.dumps(row) for row in EVERYTHING[name]) + "\n")
    return folder


def report(results: Path, out: Path) -> tuple[str, dict]:
    replication.main(["--results", str(results), "--out", str(out)])
    return out.with_name(f"{out.name}.md").read_text(), json.loads((out / "summary.json").read_text())


def section(document: str, name: str) -> str:
    return document.split(f"<!-- begin {name} -->")[1].split(f"<!-- end {name} -->")[0]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, dict, Path]:
    folder = tmp_path_factory.mktemp("report")
    return *report(write(folder / "results", *FILES), folder / "replication"), folder / "replication"


def test_a_family_that_misses_a_goal_is_marked(whole: tuple[str, dict, Path]) -> None:
    rows = section(whole[0], "nano").splitlines()
    marked = [row for row in rows if row.startswith("|") and "✗" in row]
    assert len(marked) == 1
    assert marked[0].startswith("| court |")
    assert "0.500 ✗" in marked[0]
    assert "Families that miss a goal (✗): court." in section(whole[0], "nano")


def test_every_claim_says_whether_it_was_met(whole: tuple[str, dict, Path]) -> None:
    by_name = {f"{t['claim']}: {t['what']}": t for t in whole[1]["targets"]}
    assert by_name["nano: facts_right, all families"]["met"] is True
    assert by_name["nano: miq_exact, court"] == {
        "claim": "nano", "what": "miq_exact, court", "goal": ">= 0.92", "value": 0.5, "met": False,
    }  # fmt: skip
    assert by_name["baselines: scam-paper: sem_cor relative to eos"]["value"] == 0.125
    assert by_name["baselines: scam-paper: tim_diff_s relative to eos"]["met"] is False
    assert by_name["baselines: scam-jitter: sem_cor relative to eos"]["met"] is True
    assert by_name["baselines: scam-jitter: tim_diff_s relative to the best of the others"]["met"] is True
    assert (
        by_name["memory: peak-end: sem_cor relative to uniform, clips of 300 s, 300 tokens"]["met"] is False
    )
    assert by_name["memory: peak-end: sem_cor relative to fifo, clips of 300 s, 300 tokens"]["value"] == 0.1
    loss = "sem_cor relative to keep-everything, clips of 600 s"
    assert by_name[f"memory: token-budget: {loss}"] | {"what": ""} == {
        "claim": "memory", "what": "", "goal": ">= -0.03", "value": -0.0217, "met": True,
    }  # fmt: skip
    assert by_name[f"memory: peak-end: {loss}"]["met"] is False
    assert by_name["speed: frames per second on one CPU core, four streams"]["met"] is True
    assert whole[1]["plateau"] == [1.03, 1.3]
    assert whole[1]["missing_files"] == whole[1]["not_measured"] == []
    assert whole[1]["met"] + len(whole[1]["not_met"]) == len(by_name)


def test_tables_hold_the_figures(whole: tuple[str, dict, Path]) -> None:
    document = whole[0]
    assert "| 1.00 | 0.970 | 0.900 | 1.000 | 2.000 ✗ | 0.200 |" in section(document, "alpha")
    assert "every measured alpha from 1.03 to 1.3" in section(document, "alpha")
    alphas = [
        row.split(" |")[0] for row in section(document, "validation").splitlines() if row.startswith("| 1")
    ]
    assert alphas == ["| 1.07", "| 1.25"]
    assert (
        section(document, "modes").count("| reference |")
        == section(document, "modes").count("| branch |")
        == 2
    )
    assert "0.800 [0.10, 0.95]" in section(document, "baselines")
    assert "from the same random weights" in section(document, "baselines")
    assert (
        "| scam-jitter | tim_diff_s | against eos | 0.100 | 0.400 | -75.0% | -18.1% | yes | -0.300 to +0.100 |"
        in section(document, "margins")
    )
    assert "against the best, causal" in section(document, "margins")
    assert "| all | keep-everything |" in section(document, "memory-600")
    assert "-2.2%" in section(document, "memory-600")
    assert "| eos | 0.333 | – |" in section(document, "training")


def test_pictures_are_drawn_and_linked(whole: tuple[str, dict, Path]) -> None:
    for name in ("alpha", "baselines", "memory", "training"):
        assert f"(replication/{name}.png)" in whole[0]
        pixels = np.asarray(Image.open(whole[2] / f"{name}.png").convert("RGB"))
        assert min(pixels.shape[:2]) > 300
        assert (pixels == (0, 114, 178)).all(-1).any(), name


def test_what_is_missing_is_left_out_and_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document, summary = report(write(tmp_path / "results", TEST), tmp_path / "out")
    assert "| kitchen |" in section(document, "nano")
    assert "there is no `alpha.jsonl`, no `reference.jsonl`." in section(document, "modes")
    assert summary["missing_files"] == [name for name in FILES if name != TEST]
    assert "baselines: scam-paper: sem_cor relative to eos" in summary["not_measured"]
    assert not list((tmp_path / "out").glob("*.png"))
    assert "missing, left out: memory-600.jsonl" in capsys.readouterr().out


def test_prose_outside_the_markers_is_kept(tmp_path: Path) -> None:
    results = write(tmp_path / "results", TEST)
    document = tmp_path / "out.md"
    document.write_text("# Title\n\nBefore.\n\n<!-- begin nano -->\nstale\n<!-- end nano -->\n\nAfter.\n")
    text, _ = report(results, tmp_path / "out")
    assert text.startswith("# Title\n\nBefore.\n\n<!-- begin nano -->\n| ")
    assert "stale" not in text
    assert "<!-- end nano -->\n\nAfter.\n\n## Every claim\n\n<!-- begin targets -->" in text
    assert report(results, tmp_path / "out")[0] == text


@pytest.mark.parametrize(
    "broken", ["<!-- begin a -->", "<!-- end a --><!-- begin a -->", "<!-- begin a -->" * 2]
)
def test_broken_markers_are_refused(broken: str) -> None:
    with pytest.raises(InvalidInput, match="repair"):
        put(broken, "a", "A", "body")


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / TEST).write_text('{"overall": \n')
    with pytest.raises(BadAnnotation, match=r"test\.jsonl is not JSON"):
        Results.read(tmp_path)
    with pytest.raises(InvalidInput, match="no folder"):
        Results.read(tmp_path / "nowhere")


def test_without_measurements_every_overall_goal_is_open() -> None:
    found = targets(Results({}))
    assert {target.met for target in found} == {None}
    assert sum(target.name == "nano" for target in found) == len(GOALS)


def test_a_plateau_has_no_gap() -> None:
    rows = [
        line(alpha=a, tim_redun=r) for a, r in ((1.5, 0.1), (1.1, 0.1), (1.2, 0.5), (1.3, 0.1), (1.0, 0.9))
    ]
    assert plateau(rows) == (1.3, 1.5)
    assert plateau([line(tim_cover=0.5)]) is None


def test_the_true_narration_sums_up_as_perfect_and_its_interval_is_a_point() -> None:
    clip = annotate(make_clip("parking", 1, 30, Split.TEST), 1, 64)
    truth = [(int(-(-event.start_s // 1)), event.narration) for event in clip.events]
    num_events = float(len(clip.events))
    sums = sums_of("parking-1", truth, 30)
    assert sums == [num_events, 0, 0, num_events, num_events]
    silent = sums_of("parking-1", [], 30)
    assert silent[0] == silent[3] == 0
    assert silent[1] > num_events
    drawn = spread({"eos": np.array([sums, silent]), "scam-paper": np.array([sums, sums])}, draws=200)
    assert drawn["methods"]["scam-paper"]["sem_cor"] == [1, 1]
    assert drawn["methods"]["eos"]["sem_cor"] == [0, 1]
    assert drawn["minus_reference"]["scam-paper"]["tim_diff_s"][1] == 0


@pytest.mark.parametrize("scale", list(Scale))
def test_the_plan_leaves_every_file_and_its_options_are_known(scale: Scale, tmp_path: Path) -> None:
    from livestar.evaluation import baseline_eval, quick_eval
    from livestar.training import compare

    parsers = {"compare": compare, "baseline_eval": baseline_eval, "quick_eval": quick_eval}
    steps = plan(scale, Place(tmp_path, tmp_path, tmp_path / "out", 2))
    assert {step.leaves.name for step in steps} >= set(FILES) - {SPEED}
    for step in steps:
        module = step.command[2].rpartition(".")[2] if step.command[1] == "-m" else ""
        if module in parsers:
            assert vars(parsers[module]._options(step.command[3:]))


def test_what_fails_leaves_no_result(tmp_path: Path) -> None:
    good = Step((sys.executable, "-c", "print('{}')"), tmp_path / "good.jsonl", prints=True)
    replicate.do(good)
    assert good.leaves.read_text() == "{}\n"
    bad = Step(
        (sys.executable, "-c", "print('{}'); raise SystemExit(3)"), tmp_path / "bad.jsonl", prints=True
    )
    with pytest.raises(FailedPrecondition, match="status 3"):
        replicate.do(bad)
    assert not bad.leaves.exists()


def test_results_that_are_there_are_not_measured_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = Place(tmp_path, tmp_path, tmp_path / "out", 1)
    place.results.mkdir(parents=True)
    write(place.results, *(name for name in FILES if name != SPEED))
    for step in plan(Scale.FULL, place):
        step.leaves.parent.mkdir(parents=True, exist_ok=True)
        step.leaves.touch()
    replicate.main(["--scale", "full", "--out", str(place.out), "--model", str(tmp_path), "--processes", "1"])
    assert "| court |" in (place.out / "report.md").read_text()
    assert "(report/alpha.png)" in (place.out / "report.md").read_text()
    assert "is measured" not in capsys.readouterr().out


def test_the_plan_can_be_printed_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    replicate.main(["--plan", "--scale", "full", "--out", str(tmp_path / "out")])
    assert "python -m livestar.evaluation.quick_eval" in capsys.readouterr().out
    assert not (tmp_path / "out").exists()
