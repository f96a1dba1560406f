"""Events of the running system: off the wire, for people, and as lines; and captions as subtitles."""

from __future__ import annotations

import json
import math

import pytest

from fakes.edge import became, missed, spoke
from livestar.api.v1 import events_pb2
from livestar.client.json_lines import json_line
from livestar.client.server_events import MAX_EVENT_BYTES, ServerEvent, server_events
from livestar.client.stream_lines import line_of
from livestar.client.subtitles import Caption, srt, webvtt
from livestar.client.told import Notice, told
from livestar.core.decision import Action, Answer, Decision, Ending, Rule, TextPiece
from livestar.core.errors import InvalidInput

pytestmark = pytest.mark.unit

BODY = b': alive\n\nretry: 5\n\nid: 7\nevent: decision\ndata: {"a":\r\ndata:  1}\n\ndata: two\n\nid: 9\ndata: cut'


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_server_events_come_in_any_pieces(size: int) -> None:
    chunks = [BODY[i : i + size] for i in range(0, len(BODY), size)]
    assert list(server_events(chunks)) == [
        ServerEvent("7", "decision", '{"a":\n 1}'),
        ServerEvent("7", "message", "two"),
    ]


def test_a_text_is_not_split_at_strange_line_ends() -> None:
    text = "one\u2028two\x85three\x1e"
    [event] = server_events([f"data: {text}\n\n".encode()])
    assert event.data == text


@pytest.mark.parametrize(
    "body", [b"data: " + b"x" * MAX_EVENT_BYTES + b"\n\n", b"data: x\n" * (MAX_EVENT_BYTES // 7 + 1)]
)
def test_an_event_without_end_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidInput, match="more than 1 MiB"):
        list(server_events([body]))


def test_a_decision_is_the_engines_own() -> None:
    shown = told(spoke(5, 2.0, "A dog."))
    assert isinstance(shown, Decision)
    assert (shown.action, shown.rule, shown.text, shown.frame, shown.pts_ns) == (
        Action.SPEAK,
        Rule.PERPLEXITY,
        "A dog.",
        3,
        2_000_000_000,
    )
    assert math.isnan(shown.nll)


def test_pieces_and_answers_know_their_source() -> None:
    piece = events_pb2.StreamEvent(stream_id="s", text_piece=events_pb2.TextPiece(question_id=3, text="a"))
    shown = told(piece)
    assert isinstance(shown, TextPiece)
    assert shown.source == 3
    answer = events_pb2.Answer(question_id=3, text="ab", ending=events_pb2.ENDING_TRUNCATED)
    whole = told(events_pb2.StreamEvent(stream_id="s", answer=answer))
    assert isinstance(whole, Answer)
    assert (whole.question, whole.ending) == (3, Ending.TRUNCATED)


def test_trouble_is_told_to_people() -> None:
    gap = events_pb2.FramesMissing(
        first_sequence=3, last_sequence=4, reason=events_pb2.GAP_REASON_INGEST_DROPPED
    )
    assert told(events_pb2.StreamEvent(frames_missing=gap)) == Notice(
        0, "2 frames missing: the stream is behind", bad=True
    )
    assert told(became(1, 0, "failed", "the camera is gone")) == Notice(
        0, "failed: the camera is gone", bad=True
    )
    assert told(became(1, 0, "running")) is None, "people see that"
    assert told(became(1, 0, "starting", "the camera is back")) == Notice(0, "starting: the camera is back")
    assert told(missed(1, 7)) == Notice(0, "events before number 7 are no longer kept", bad=True)


def test_what_a_newer_version_says_is_not_fatal() -> None:
    event = spoke(1, 0, "x")
    event.decision.ClearField("rule")
    shown = told(event)
    assert isinstance(shown, Notice)
    assert "update" in shown.text


def test_lines_carry_the_cursor_and_the_delay() -> None:
    line = line_of(spoke(5, 2.0, "A dog.\x1b[31m"))
    assert line is not None
    assert json.loads(json_line(line)) | {"text": ""} == {
        "event": "decision",
        "stream": "door",
        "sequence": 5,
        "frame": 3,
        "pts_s": 2.0,
        "behind_s": 0.25,
        "channel": "narration",
        "action": "speak",
        "rule": "perplexity",
        "nll": None,
        "reference_nll": None,
        "perplexity": None,
        "threshold": None,
        "alpha": 1.07,
        "new_reference_nll": None,
        "clip": 1,
        "text": "",
        "ending": "complete",
    }
    assert "\x1b" not in json_line(line)


def test_every_body_but_pieces_is_a_line() -> None:
    bodies = [field.name for field in events_pb2.StreamEvent.DESCRIPTOR.oneofs_by_name["body"].fields]
    for body in set(bodies) - {"decision", "answer"}:
        event = events_pb2.StreamEvent(stream_id="s", sequence=3)
        getattr(event, body).SetInParent()
        line = line_of(event)
        assert (line is None) == (body == "text_piece"), body
        if line:
            assert (line["stream"], line["sequence"]) == ("s", 3)
            json_line(line)


CAPTIONS = (
    Caption(0.0, "One  <b>\nline"),
    Caption(2.0, "Two --> three"),
    Caption(2.1, ""),
    Caption(3725.5, "Four & end"),
)


def test_srt() -> None:
    assert srt(CAPTIONS, 3730.0) == (
        "1\n00:00:00,000 --> 00:00:02,000\nOne <b> line\n\n"
        "2\n00:00:02,000 --> 00:00:02,500\nTwo → three\n\n"
        "3\n00:00:02,100 --> 01:02:05,500\n…\n\n"
        "4\n01:02:05,500 --> 01:02:10,000\nFour & end\n"
    )
    assert srt(()) == ""


def test_webvtt() -> None:
    assert webvtt(CAPTIONS[::3]) == (
        "WEBVTT\n\n00:00:00.000 --> 01:02:05.500\nOne &lt;b&gt; line\n"
        "\n01:02:05.500 --> 01:02:10.500\nFour &amp; end\n"
    )
    assert webvtt(()) == "WEBVTT\n"
    assert webvtt([Caption(9.0, "At the end")], 9.0).endswith("00:00:09.000 --> 00:00:09.500\nAt the end\n")
