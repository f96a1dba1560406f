"""`livestar parity`: what it says of the published reference's vectors, of fewer of them, and of wrong ones."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from e2e.command import Outcome, run

pytestmark = [pytest.mark.e2e, pytest.mark.golden]

ERRORS = ("features_max_abs_err", "logits_max_abs_err", "perplexity_max_rel_err")
BOOLEANS = (
    "decisions_equal",
    "generated_equal",
    "peak_end_equal",
    "scam_equal",
    "tokenizer_equal",
    "resize_equal",
    "timing_equal",
)
LIMIT = 2e-5
NETWORK = ("config.json", "model.safetensors", "frames")
TOKENIZER = ("tokenizer.model", "tokenizer_config.json")

Enter = Callable[..., Outcome]


def copied(golden_dir: Path, folder: Path, *names: str) -> Path:
    """A folder with these files of the golden one; the large ones are linked."""
    folder.mkdir()
    for name in names:
        if name in NETWORK:
            (folder / name).symlink_to((golden_dir / name).resolve())
        else:
            shutil.copyfile(golden_dir / name, folder / name)
    return folder


def checked(got: Outcome) -> dict[str, Any]:
    """The report, without what was not checked."""
    assert got.err == ""
    report = json.loads(got.out, parse_constant=pytest.fail)
    assert tuple(report) == (*ERRORS, *BOOLEANS)
    return {name: value for name, value in report.items() if value is not None}


def test_everything_holds(golden_dir: Path) -> None:
    """The command of the README, in a process of its own."""
    got = run("parity", golden_dir, "--json")
    report = checked(got)
    assert got.status == 0
    assert all(0 <= report[name] <= LIMIT for name in ERRORS)
    assert all(report[name] is True for name in BOOLEANS)


def test_missing_files_are_null(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    names = (*NETWORK, *TOKENIZER, "logits.safetensors", "scam.json", "large.png", "tokenizer.json")
    folder = copied(golden_dir, tmp_path / "golden", *names)
    got = enter("parity", folder, "--json")
    assert checked(got).keys() == {"logits_max_abs_err", "scam_equal"}
    assert got.status == 0
    table = enter("parity", folder).out
    assert "2 checks passed, 0 checks failed" in table
    assert table.count("no file") == 8


def test_no_weights_no_network(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    names = (*TOKENIZER, "tokenizer.json", "chat_template.json", "sved_trace.json")
    got = enter("parity", copied(golden_dir, tmp_path / "golden", *names), "--json")
    assert checked(got) == {"tokenizer_equal": True}


def _first_ids(cases: list[dict[str, Any]]) -> None:
    cases[0]["ids"][-1] += 1


def _first_position(cases: list[dict[str, Any]]) -> None:
    cases[-1]["position_ids"][-1] += 1


def _first_kept(cases: list[dict[str, Any]]) -> None:
    cases[3]["keep_frames"].pop()


@pytest.mark.parametrize(
    ("name", "harm", "needs", "field"),
    [
        ("scam.json", _first_position, (), "scam_equal"),
        ("peak_end.json", _first_kept, (), "peak_end_equal"),
        ("tokenizer.json", _first_ids, (*TOKENIZER, "chat_template.json"), "tokenizer_equal"),
    ],
)
def test_wrong_vectors_are_found(
    name: str,
    harm: Callable[[Any], None],
    needs: tuple[str, ...],
    field: str,
    golden_dir: Path,
    tmp_path: Path,
    enter: Enter,
) -> None:
    folder = copied(golden_dir, tmp_path / "golden", name, *needs)
    _edit(folder / name, harm)
    got = enter("parity", folder, "--json")
    assert (got.status, checked(got)) == (1, {field: False})


def test_wrong_timing_and_pixels_are_found(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    timing = ("timing_ground_truth.txt", "timing_predictions.jsonl", "timing_expected.jsonl")
    folder = copied(golden_dir, tmp_path / "golden", "large.png", "large_resized.png", *timing)
    shutil.copyfile(golden_dir / "frames" / "001.png", folder / "large_resized.png")
    expected = folder / "timing_expected.jsonl"
    first, *others = expected.read_text(encoding="utf-8").splitlines()
    changed = json.loads(first)
    changed["avg_timediff"] += 0.5
    expected.write_text("\n".join([json.dumps(changed), *others]), encoding="utf-8")
    got = enter("parity", folder, "--json")
    assert (got.status, checked(got)) == (1, {"resize_equal": False, "timing_equal": False})


def test_wrong_numbers_are_found(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    """A logit off by 0.1, a NaN feature: JSON knows no infinity, so that is the largest number."""
    names = (*NETWORK, *TOKENIZER, "features.safetensors", "logits.safetensors")
    folder = copied(golden_dir, tmp_path / "golden", *names)
    for name, tensor, harm in (("features", "projected", float("nan")), ("logits", "logits_last", 0.1)):
        tensors = load_file(folder / f"{name}.safetensors")
        tensors[tensor] = tensors[tensor] + harm
        save_file(tensors, folder / f"{name}.safetensors")
    got = enter("parity", folder, "--json")
    report = checked(got)
    assert got.status == 1
    assert report["features_max_abs_err"] > 1e300
    assert report["logits_max_abs_err"] == pytest.approx(0.1, rel=1e-3)


def _spoil_first_steps(golden: dict[str, Any]) -> None:
    trace = golden["traces"][0]
    golden["traces"], trace["steps"] = [trace], trace["steps"][:3]
    trace["steps"][0]["generated"] += "?"
    trace["steps"][1]["perplexity"] *= 1.001
    trace["steps"][2]["decision"] = "respond" if trace["steps"][2]["decision"] != "respond" else "silent"


def test_a_wrong_trace_is_found(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    folder = copied(golden_dir, tmp_path / "golden", *NETWORK, *TOKENIZER, "sved_trace.json")
    _edit(folder / "sved_trace.json", _spoil_first_steps)
    got = enter("parity", folder)
    assert got.status == 1
    *_, verdict = got.out.partition("0 checks passed, 3 checks failed: ")
    assert verdict.split() == ["perplexity_max_rel_err,", "decisions_equal,", "generated_equal"]


def test_a_damaged_image_is_one_sentence(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    folder = copied(golden_dir, tmp_path / "golden", "large.png", "large_resized.png")
    (folder / "large.png").write_bytes((golden_dir / "large.png").read_bytes()[:5000])
    got = enter("parity", folder)
    assert (got.status, got.out) == (2, "")
    assert "large.png cannot be read as an image" in got.err


def test_missing_frames_are_one_sentence(golden_dir: Path, tmp_path: Path, enter: Enter) -> None:
    names = ("config.json", "model.safetensors", *TOKENIZER, "features.safetensors")
    got = enter("parity", copied(golden_dir, tmp_path / "golden", *names))
    assert (got.status, got.out) == (2, "")
    assert "the golden files speak of frame 1, but frames/ holds 0" in got.err


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{}", b"[]", b"[{}]", b"[1]", b"null"])
@pytest.mark.parametrize("name", ["scam.json", "peak_end.json", "tokenizer.json"])
def test_a_damaged_golden_file_is_one_sentence(
    name: str, content: bytes, golden_dir: Path, tmp_path: Path, enter: Enter
) -> None:
    folder = copied(golden_dir, tmp_path / "golden", *TOKENIZER, "chat_template.json")
    (folder / name).write_bytes(content)
    got = enter("parity", folder)
    assert (got.status, got.out) == (2, "")
    assert name in got.err


def test_a_truncated_golden_tensor_file_is_one_sentence(
    golden_dir: Path, tmp_path: Path, enter: Enter
) -> None:
    folder = copied(golden_dir, tmp_path / "golden", *NETWORK, *TOKENIZER)
    content = (golden_dir / "features.safetensors").read_bytes()
    (folder / "features.safetensors").write_bytes(content[: len(content) // 2])
    got = enter("parity", folder)
    assert (got.status, got.out) == (2, "")
    assert "features.safetensors" in got.err


def _edit(path: Path, harm: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    harm(content)
    path.write_text(json.dumps(content), encoding="utf-8")
