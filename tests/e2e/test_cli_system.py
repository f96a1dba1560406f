"""Commands that talk to a running system, as a user types them; an edge with a script stands for the system."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.command import TIMEOUT_S, Outcome, started
from fakes.edge import Edge, became, spoke, story
from livestar.client.running_system import RunningSystem

pytestmark = pytest.mark.e2e

Enter = Callable[..., Outcome]


@pytest.fixture
def edge() -> Iterator[Edge]:
    with Edge() as edge:
        yield edge


def test_a_recording_is_watched_by_the_system(edge: Edge, clip: Path, enter: Enter) -> None:
    got = enter(
        "watch", clip, "--gateway", edge.url, "--id", "door", "--standing", "Who?", "--alpha", "1.2", "--json"
    )
    assert (got.status, got.err) == (0, "")
    lines = [json.loads(line) for line in got.out.splitlines()]
    assert [line["sequence"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["text"] for line in lines if line["event"] == "decision"] == [
        "Caption 0.",
        "Caption 1.",
        "Caption 2.",
    ]
    assert lines[-1]["state"] == "ended"
    [body] = [body for method, _, body in edge.requests if method == "POST"]
    assert body == {
        "source": str(clip),
        "id": "door",
        "fps": 1.0,
        "pace": "fast",
        "alpha": 1.2,
        "standing": ["Who?"],
    }
    assert edge.asked("DELETE") == [], "it came to its end by itself"


@pytest.mark.parametrize(
    ("source", "options", "pace"),
    [
        ("rtsp://camera/1", (), None),
        ("rtsp://camera/1", ("--realtime",), "live"),
        ("", ("--realtime",), "realtime"),
    ],
)
def test_each_source_has_its_pace(
    edge: Edge, clip: Path, enter: Enter, source: str, options: tuple[str, ...], pace: str | None
) -> None:
    assert enter("watch", source or clip, "--gateway", edge.url, "--json", *options).status == 0
    [body] = [body for method, _, body in edge.requests if method == "POST"]
    assert body.get("pace") == pace


def test_people_see_captions_with_their_times(edge: Edge, clip: Path, enter: Enter) -> None:
    edge.events = [*story()[:-1], became(5, 5, "failed", "the camera\x1b[31m is gone")]
    got = enter("watch", clip, "--gateway", edge.url, "--id", "door")
    assert got.status == 0
    title, *said, summary = got.out.splitlines()
    assert title == f"clip.mp4 at 1 frame/s, stream door at {edge.url}"
    assert said[:3] == ["00:00  Caption 0.", "00:02  Caption 1.", "00:04  Caption 2."]
    assert said[-1] == "00:05  failed: the camera [31m is gone"
    assert summary.endswith("spoke 3 times")


def test_a_question_is_asked_at_its_time(edge: Edge, clip: Path, enter: Enter) -> None:
    got = enter("watch", clip, "--gateway", edge.url, "--json", "--ask", "3:Now?", "--ask", "99:Then?")
    assert "ended before 99 s, so this was not asked: Then?" in got.err
    asked = [body for _, path, body in edge.requests if path.endswith("/questions")]
    assert asked == [{"text": "Now?"}]


def test_a_stream_that_runs_is_looked_at_from_now_on(edge: Edge, enter: Enter) -> None:
    assert enter("watch", "stream:door", "--gateway", edge.url, "--json").status == 0
    assert edge.asked("POST") == []
    assert "/v1/streams/door/events" in edge.asked("GET")


@pytest.mark.parametrize("keep", [True, False])
def test_ctrl_c_stops_what_it_started(clip: Path, keep: bool) -> None:
    with Edge([became(1, 0, "running"), spoke(2, 0, "A dog.")], hold=threading.Event()) as edge:
        arguments = (
            "watch",
            clip,
            "--gateway",
            edge.url,
            "--id",
            "door",
            "--json",
            *(["--keep"] if keep else []),
        )
        with started(*arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout
            assert json.loads(process.stdout.readline())["event"] == "state"
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=TIMEOUT_S)
        assert (process.returncode, err) == (130, "")
        assert edge.asked("DELETE") == ([] if keep else ["/v1/streams/door"])


def test_what_the_system_cannot_do_is_said_where_it_is_named(edge: Edge, clip: Path, enter: Enter) -> None:
    got = enter("watch", clip, "--gateway", edge.url, "--min-gap", "3")
    assert got.status == 2
    assert "--min-gap cannot be asked of the running system: leave it out, or add --local" in " ".join(
        got.err.split()
    )
    assert edge.requests == []


def test_a_gateway_that_runs_here_is_found(
    edge: Edge,
    clip: Path,
    tiny_checkpoint: Path,
    enter: Enter,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    RunningSystem(os.getpid(), edge.url, "").announce()
    assert len(enter("watch", clip, "--json").out.splitlines()) == 5
    before = len(edge.requests)
    short = ("--max-caption-tokens", "4")
    assert enter("watch", clip, "--json", "--model", tiny_checkpoint, *short).status == 0
    assert len(edge.requests) == before, "what only this process can do, this process does"


def test_streams_ask_and_stop(edge: Edge, enter: Enter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVESTAR_GATEWAY_URL", edge.url)
    monkeypatch.setenv("COLUMNS", "100")
    heading, row = enter("streams").out.splitlines()
    assert heading.split() == ["stream", "state", "at", "behind", "source"]
    assert row.split() == ["door", "running", "01:01", "2", "rtsp://camera/1"]
    assert json.loads(enter("streams", "--json").out)["behind_frames"] == 2
    assert enter("ask", "door", "Who?").out == "About Who?\n"
    assert json.loads(enter("ask", "door", "Who?", "--json").out)["text"] == "About Who?"
    assert enter("stop", "door", "yard").status == 0
    assert edge.asked("DELETE") == ["/v1/streams/door", "/v1/streams/yard"]


@pytest.mark.parametrize(
    ("arguments", "because"),
    [
        (("watch", "none.mp4", "--gateway", "{url}"), "none.mp4 does not exist: check the path"),
        (
            ("watch", "rtsp://camera/none.mp4", "--gateway", "{url}"),
            "none.mp4 does not exist: check the path",
        ),
        (("streams", "--gateway", "http://127.0.0.1:9"), "does not answer: start one with `livestar up`"),
        (("streams", "--gateway", "nonsense"), "the gateway's address is not one: use http://host:port"),
        (("demo", "--seconds", "0"), "--seconds is from 1 to 86400, not 0"),
        (("jobs", "narrate", "none.mp4"), "none.mp4 does not exist or is no file: check the path"),
    ],
)
def test_bad_input_is_one_sentence(
    edge: Edge, enter: Enter, arguments: tuple[str, ...], because: str
) -> None:
    got = enter(*(argument.format(url=edge.url) for argument in arguments))
    assert (got.status, got.out) == (2, "")
    assert because in " ".join(got.err.split())
    assert "Traceback" not in got.err


@pytest.mark.parametrize(
    "command", [("streams",), ("ask", "door", "Who?"), ("stop", "door"), ("watch", "rtsp://camera/1")]
)
def test_talking_to_a_gateway_loads_nothing_heavy(edge: Edge, command: tuple[str, ...]) -> None:
    script = (
        "import sys; from livestar.client.cli import main\n"
        "try: main()\n"
        "finally: print('LOADED', *sys.modules)"
    )
    environment = {**os.environ, "LIVESTAR_GATEWAY_URL": edge.url}
    done = subprocess.run(
        [sys.executable, "-c", script, *command], capture_output=True, text=True, check=True, env=environment
    )
    loaded = set(done.stdout.partition("LOADED")[2].split())
    assert "httpx" in loaded
    assert not {"torch", "transformers", "av", "numpy", "redis", "celery", "grpc"} & loaded
