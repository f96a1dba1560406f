"""`livestar watch`: what programs read, and what people see."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.command import Outcome, run
from livestar.client.json_lines import to_json
from livestar.client.local_watcher import LocalWatcher
from livestar.client.timed_question import TimedQuestion
from livestar.engine import StreamSettings
from livestar.media import VideoSource

pytestmark = pytest.mark.e2e

KEYS = {
    "event",
    "frame",
    "pts_s",
    "channel",
    "action",
    "rule",
    "nll",
    "reference_nll",
    "alpha",
    "clip",
    "text",
}
SHORT = ("--max-caption-tokens", "8")


def test_json_is_a_line_per_decision(clip: Path, tiny_checkpoint: Path) -> None:
    """In a real process: the contract of every line, and the same decisions as in this process."""
    question = ("--ask", "1.5:Who is it?", "--standing", "What is it?")
    got = run("watch", clip, "--model", tiny_checkpoint, "--fps", "2", "--json", *SHORT, *question)
    assert (got.status, got.err) == (0, "")
    lines = [json.loads(line, parse_constant=pytest.fail) for line in got.out.splitlines()]
    with VideoSource.open(clip) as source:
        frames = [(frame.number, frame.pts_ns / 1e9) for frame in source.frames(2)]

    decisions = [line for line in lines if line["event"] == "decision"]
    assert all(line.keys() >= KEYS for line in decisions)
    for channel in ("narration", "q1"):
        own = [line for line in decisions if line["channel"] == channel]
        assert [(line["frame"], line["pts_s"]) for line in own] == frames
        first, *later = own
        assert (first["rule"], first["nll"], first["reference_nll"]) == ("first", None, None)
        assert all(line["action"] in ("speak", "silent") and line["nll"] > 0 for line in later)
        assert all(line["alpha"] == 1.03 and line["text"] for line in own)

    asked, answer = [line for line in lines if line["event"] != "decision"]
    assert (asked["event"], asked["text"], answer["event"]) == ("question", "Who is it?", "answer")
    at_s = next(pts_s for _, pts_s in frames if pts_s >= 1.5)
    assert asked["pts_s"] == answer["pts_s"] == at_s
    assert lines.index(answer) == lines.index(asked) + 1
    assert lines[lines.index(asked) - 1]["pts_s"] == at_s, "asked once the frame of its time has been judged"

    with VideoSource.open(clip) as source:
        events = LocalWatcher(tiny_checkpoint).watch(
            source,
            StreamSettings(max_caption_tokens=8),
            fps=2,
            questions=(TimedQuestion(1.5, "Who is it?"),),
            standing=("What is it?",),
        )
        here = [json.loads(line) for line in map(to_json, events) if line]
    assert [without_numbers(line) for line in here] == [without_numbers(line) for line in lines]
    assert nlls(here) == pytest.approx(nlls(lines), rel=1e-4)


def nlls(lines: list[dict[str, Any]]) -> list[float]:
    return [line["nll"] for line in lines if line.get("nll") is not None]


def without_numbers(line: dict[str, object]) -> dict[str, object]:
    return {key: value for key, value in line.items() if not isinstance(value, float) or key == "pts_s"}


def test_a_pipe_gets_one_line_a_caption(
    clip: Path, tiny_checkpoint: Path, enter: Callable[..., Outcome]
) -> None:
    got = enter("watch", clip, "--model", tiny_checkpoint, *SHORT, "--ask", "99:And now?")
    assert (got.status, got.err) == (0, "")
    title, *said, summary = got.out.splitlines()
    assert title == "clip.mp4 at 1 frame/s, mode branch, alpha 1.03"
    assert all(re.fullmatch(r"\d\d:\d\d  \S.*", line) for line in said)
    assert said[-2].endswith("  ? And now?"), "a question for later than the end is asked at the end"
    assert "  → " in said[-1]
    captions = len(said) - 2
    times = "1 time" if captions == 1 else f"{captions} times"
    assert re.fullmatch(
        rf"\d+ frames watched in .* s \(.* frames/s\), spoke {times}, 0 decode errors", summary
    )


def test_reference_mode(clip: Path, tiny_checkpoint: Path, enter: Callable[..., Outcome]) -> None:
    got = enter("watch", clip, "--model", tiny_checkpoint, *SHORT, "--mode", "reference", "--json")
    assert (got.status, got.err) == (0, "")
    assert json.loads(got.out.splitlines()[0])["rule"] == "first"


def test_damage_is_reported(tmp_path: Path, tiny_checkpoint: Path, enter: Callable[..., Outcome]) -> None:
    from fakes.video import MILLISECONDS, damage, steady, write_clip

    broken = write_clip(steady("broken.mp4", 40, step=100, tick=MILLISECONDS), tmp_path)
    damage(broken, range(14, 18))
    for arguments in (["--json"], []):
        got = enter("watch", broken, "--model", tiny_checkpoint, *SHORT, *arguments)
        assert got.status == 0
        assert re.search(r"[1-9]\d* decode errors?", got.err if arguments else got.out)
