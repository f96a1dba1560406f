"""How the command line reads and writes small things: questions, times, counts, text, JSON lines, the parity report."""

from __future__ import annotations

import json
import math

import pytest
from rich.console import Console

from livestar.client.json_lines import to_json
from livestar.client.parity_table import parity_json, parity_table
from livestar.client.plain_text import clock, counted, printable
from livestar.client.timed_question import Asked, TimedQuestion
from livestar.core.decision import Action, Answer, Decision, Ending, FrameDropped, Rule, TextPiece
from livestar.core.errors import InvalidInput
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.evaluation.parity import ParityReport

pytestmark = pytest.mark.unit

STREAM, FIRST = StreamId("local"), FrameNumber(1)


def test_question() -> None:
    assert TimedQuestion.parse("1.5: What is it: a cat? ") == TimedQuestion(1.5, "What is it: a cat?")


@pytest.mark.parametrize(
    "spelled", ["", ":", "5", "5:", "5: ", "Who?", "-1:Who?", "nan:Who?", "inf:Who?", "1:"]
)
def test_no_question(spelled: str) -> None:
    with pytest.raises(InvalidInput, match="SECONDS:TEXT"):
        TimedQuestion.parse(spelled)


@pytest.mark.parametrize(
    ("seconds", "shown", "in_tenths"),
    [
        (0, "00:00", "00:00.0"),
        (0.3, "00:00", "00:00.3"),
        (59.96, "00:59", "00:59.9"),
        (61.5, "01:01", "01:01.5"),
        (3600, "1:00:00", "1:00:00.0"),
        (100 * 3600 + 59 * 60 + 1, "100:59:01", "100:59:01.0"),
    ],
)
def test_clock(seconds: float, shown: str, in_tenths: str) -> None:
    assert clock(seconds) == shown
    assert clock(seconds, tenths=True) == in_tenths


def test_counted() -> None:
    assert [counted(number, "frame") for number in (0, 1, 2)] == ["0 frames", "1 frame", "2 frames"]


def test_printable() -> None:
    assert printable("a\x1b[2Jb\nc\x9bd\u202ee\u2028f") == "a [2Jb c d e f"
    assert printable("你好 Ünïcode 🙂") == "你好 Ünïcode 🙂"


def decision(text: str = "A cat.", nll: float = 1.0) -> Decision:
    return Decision(
        STREAM,
        ChannelId("narration"),
        FIRST,
        1_500_000_000,
        Action.SPEAK,
        Rule.PERPLEXITY,
        nll,
        0.5,
        1.03,
        2,
        text,
    )


def test_a_decision_as_json() -> None:
    line = to_json(decision())
    assert line
    shown = json.loads(line)
    assert shown["threshold"] == pytest.approx(1.03 * math.exp(0.5))
    assert {
        key: shown[key] for key in ("event", "frame", "pts_s", "action", "rule", "nll", "clip", "text")
    } == {
        "event": "decision",
        "frame": 1,
        "pts_s": 1.5,
        "action": "speak",
        "rule": "perplexity",
        "nll": 1.0,
        "clip": 2,
        "text": "A cat.",
    }


@pytest.mark.parametrize("nll", [math.nan, math.inf, 1e6])
def test_json_knows_no_infinity(nll: float) -> None:
    line = to_json(decision(nll=nll))
    assert line
    shown = json.loads(line, parse_constant=pytest.fail)
    assert shown["perplexity"] is None
    assert shown["nll"] == (nll if math.isfinite(nll) else None)


def test_a_line_is_a_line_whatever_is_said() -> None:
    text = 'a\nb\x1b\x85\u2028\x9b"你\ud800'
    line = to_json(decision(text))
    assert line
    assert line.isascii()
    assert line.isprintable()
    assert json.loads(line)["text"] == text


def test_other_events_as_json() -> None:
    asked = to_json(Asked(QuestionId(1), FIRST, 0, "Who?"))
    answer = to_json(Answer(STREAM, QuestionId(1), FIRST, 0, "Ann.", (5,), Ending.COMPLETE))
    dropped = to_json(FrameDropped(STREAM, FIRST, 0))
    assert [json.loads(line)["event"] for line in (asked, answer, dropped) if line] == [
        "question",
        "answer",
        "frame_dropped",
    ]
    assert to_json(TextPiece(STREAM, ChannelId("narration"), FIRST, "A")) is None


def test_parity_report() -> None:
    report = ParityReport(
        features_max_abs_err=math.inf, logits_max_abs_err=1e-6, scam_equal=True, resize_equal=False
    )
    shown = json.loads(parity_json(report), parse_constant=pytest.fail)
    assert shown["features_max_abs_err"] > 1e300
    assert (shown["scam_equal"], shown["timing_equal"]) == (True, None)
    console = Console(width=60)
    with console.capture() as capture:
        console.print(parity_table(report))
    table = capture.get()
    assert "2 checks passed, 2 checks failed: features_max_abs_err, resize_equal" in " ".join(table.split())
    assert table.count("DIFFERS") == 2
    assert table.count("no file") == 6
    assert max(map(len, table.splitlines())) <= 60
