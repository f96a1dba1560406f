"""The terminal view on a terminal of 60 columns, and into a pipe."""

from __future__ import annotations

import io
import math
from contextlib import suppress
from dataclasses import dataclass

import pytest
from rich.console import Console

from livestar.client.sparkline import Sparkline
from livestar.client.terminal_view import TerminalView
from livestar.client.timed_question import Asked
from livestar.core.decision import Action, Answer, Decision, Ending, FrameDropped, Rule, TextPiece
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId

pytestmark = pytest.mark.unit

STREAM, NARRATION = StreamId("local"), ChannelId("narration")
ALPHA, REFERENCE = 1.03, 1.0
ALLOWED = math.log(ALPHA)


@dataclass
class Video:
    """What the view asks of a video."""

    duration_s: float | None = 8.0
    decode_errors: int = 1


def decision(
    number: int,
    rule: Rule = Rule.HOLDS,
    share: float = 0.0,
    text: str = "A red ball enters.",
    channel: ChannelId = NARRATION,
    ending: Ending = Ending.COMPLETE,
) -> Decision:
    """A frame whose NLL has risen by `share` of what the gate allows."""
    speaks = rule in (Rule.FIRST, Rule.PERPLEXITY, Rule.MAX_SILENCE, Rule.NOT_FINITE)
    return Decision(
        stream=STREAM,
        channel=channel,
        frame=FrameNumber(number),
        pts_ns=(number - 1) * 1_000_000_000,
        action=Action.SPEAK if speaks else Action.SILENT,
        rule=rule,
        nll=math.nan if rule in (Rule.FIRST, Rule.NOT_FINITE) else REFERENCE + share * ALLOWED,
        reference_nll=math.nan if rule is Rule.FIRST else REFERENCE,
        alpha=ALPHA,
        clip=1,
        text=text,
        ending=ending,
    )


def piece(text: str, source: ChannelId | QuestionId = NARRATION) -> TextPiece:
    return TextPiece(STREAM, source, FrameNumber(1), text)


def view_on(console: Console) -> TerminalView:
    return TerminalView(console, Video(), "clip.mp4 at 1 frame/s")  # type: ignore[arg-type]


def terminal() -> Console:
    return Console(file=io.StringIO(), width=60, height=30, force_terminal=True, color_system=None)


def moving(view: TerminalView) -> str:
    """The lines that move, as they stand now."""
    console = terminal()
    console.print(view._moving())
    return printed(console)


def printed(console: Console) -> str:
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_bars_rise_to_the_threshold() -> None:
    line = Sparkline()
    line.add(decision(1, Rule.FIRST))
    for number, share in enumerate((-3.0, 0.0, 0.5, 0.99), start=2):
        line.add(decision(number, share=share))
    line.add(decision(6, Rule.PERPLEXITY, share=1.5))
    line.add(decision(7, Rule.MIN_GAP, share=9.0))
    line.add(decision(8, Rule.NOT_FINITE))
    assert line.render(10).plain == "█▁▁▄▇██!  "
    assert line.render(3).plain == "██!", "the newest"
    assert line.render(0).plain == ""


def test_words_appear_as_they_are_said() -> None:
    console = terminal()
    with view_on(console) as view:
        view.show(decision(1, Rule.FIRST))
        view.show(decision(2, share=0.5))
        for text in (" A red", " ball", "\x1b[2J"):
            view.show(piece(text))
        view.show(piece("Nobody", ChannelId("q1")))
        view.show(piece("Two", QuestionId(1)))
        shown = moving(view)
        assert "       A red ball [2J▌\n" in shown
        assert "       [q1] Nobody▌\n" in shown
        assert "       → Two▌\n" in shown
        assert "00:01 / 00:08  █▄" in shown
        assert "PPL 2.76 of 2.8, silent" in shown
        view.show(decision(3, Rule.PERPLEXITY, share=2.0, text="A red ball leaves."))
        assert "A red" not in moving(view)
        assert "00:02  A red ball leaves.\n" in printed(console)


def test_lines_keep_to_the_terminal() -> None:
    """Long texts stay right of the time; of an unfinished one only the end is shown."""
    console = terminal()
    with view_on(console) as view:
        view.show(decision(1, Rule.FIRST, text="word " * 40))
        view.show(piece("syllable" * 200))
        view.show(decision(2, Rule.UNCONFIRMED, share=1.5))
        lines = moving(view).splitlines()
    assert max(map(len, lines)) <= 60
    assert len(lines) <= 9
    assert "…" in lines[0]
    said = [line for line in printed(console).splitlines() if "word" in line]
    assert "00:00  word" in said[0]
    assert all(line.startswith("       word") for line in said[1:])


def test_a_pipe_gets_whole_lines() -> None:
    console = Console(file=io.StringIO(), width=60)
    with view_on(console) as view:
        view.show(piece("A red"))
        view.show(decision(1, Rule.FIRST, text="word " * 40))
        view.show(decision(1, Rule.FIRST, text="[bold]", channel=ChannelId("q1")))
        view.show(decision(2, share=0.5))
        view.show(Asked(QuestionId(1), FrameNumber(2), 1_000_000_000, "Who?"))
        view.show(Answer(STREAM, QuestionId(1), FrameNumber(2), 1_000_000_000, "Ann", (1,), Ending.TRUNCATED))
        view.show(decision(3, Rule.NOT_FINITE, text="An owl."))
        view.show(decision(4, Rule.PERPLEXITY, share=2.0, ending=Ending.DEGRADED))
        view.show(FrameDropped(STREAM, FrameNumber(5), 4_000_000_000))
    title, *said, summary = printed(console).splitlines()
    assert title == "clip.mp4 at 1 frame/s"
    assert said == [
        "00:00  " + "word " * 40,
        "00:00  [q1] [bold]",
        "00:01  ? Who?",
        "00:01  → Ann …",
        "00:02  An owl.  (the likelihood was not finite)",
        "00:03  (nothing could be said)",
        "00:04  frame 5 dropped: the stream is behind",
    ]
    assert summary.startswith("4 frames watched in ")
    assert summary.endswith("frames/s), spoke 3 times, 1 decode error")


def test_an_interrupted_view_still_sums_up() -> None:
    console = terminal()
    with suppress(KeyboardInterrupt), view_on(console) as view:
        view.show(piece("A red"))
        raise KeyboardInterrupt
    shown = printed(console)
    assert "0 frames watched" in shown
    assert shown.rindex("\x1b[?25h") > shown.rindex("\x1b[?25l")
