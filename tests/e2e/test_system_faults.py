"""What goes wrong around the running system: a clear error or back-pressure each time; nothing hangs or is lost silently."""

from __future__ import annotations

import contextlib
import itertools
import os
import re
import signal
import socket
import subprocess
import time
import wave
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from e2e.command import EXECUTABLE
from e2e.subscribers import Subscriber
from e2e.whole import Whole, running, soon, write_clip
from fakes.decoding import decisions
from livestar.api.v1 import common_pb2
from livestar.api.v1.events_pb2 import StreamEvent
from livestar.bus import EmbeddedRedis
from livestar.client.server_events import server_events
from livestar.client.system.plan import free_port
from livestar.synth import Split, make_clip

pytestmark = [pytest.mark.e2e, pytest.mark.slow, pytest.mark.timeout(300)]

SETTINGS = {
    "LIVESTAR_GATEWAY_MAX_QUEUE": "300",
    "LIVESTAR_GATEWAY_STALLED_S": "3",
    "LIVESTAR_GATEWAY_PROBE_S": "4",
    "LIVESTAR_INGEST_SOURCE_TIMEOUT_S": "2",
    "LIVESTAR_DECODER_LEASE_TTL_S": "2",
}
FINAL = ("stopped", "ended", "failed")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one clip of a minute."""
    folder = tmp_path_factory.mktemp("files")
    write_clip(make_clip("parking", 5, 60, Split.TEST), folder / "clip.mp4", size=224)
    return folder


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, files: Path) -> Iterator[Whole]:
    """All services and a real Redis."""
    with running(tmp_path_factory.mktemp("logs"), files, SETTINGS) as whole:
        yield whole


def told(response: httpx.Response, status: int) -> dict[str, Any]:
    """The problem document of an answer: whole, and one sentence that says what to do."""
    assert response.status_code == status, response.text
    assert response.headers["content-type"].startswith("application/problem+json")
    problem: dict[str, Any] = response.json()
    assert problem["status"] == status
    assert problem["title"]
    assert problem["reason"]
    assert len(problem["detail"]) > 10
    assert "Traceback" not in response.text
    return problem


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "", None),
        ("DELETE", "", None),
        ("GET", "/events", None),
        ("GET", "/ws", None),
        ("GET", "/channels", None),
        ("POST", "/questions", {"text": "What happened?"}),
        ("POST", "/channels", {"text": "Is a car parked?"}),
        ("GET", "/preview/index.m3u8", None),
    ],
)
def test_an_unknown_stream(system: Whole, method: str, path: str, body: object) -> None:
    with system.client() as client:
        response = client.request(method, f"/v1/streams/nobody{path}", json=body)
    problem = told(response, 404)
    assert problem["retryable"] is False


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("gopher://camera/1", "has to begin with one of"),
        ("rtsp://", "no host"),
        ("http://host:99999/x", "port"),
        ("/etc/hostname", "lies outside the folders"),
        ("missing.mp4", "."),
        ("rtsp://user:hunter2@127.0.0.1:1/camera", "."),
    ],
)
def test_a_bad_source(system: Whole, files: Path, source: str, words: str) -> None:
    source = str(files / source) if source == "missing.mp4" else source
    with system.client() as client:
        problem = told(client.post("/v1/streams", json={"source": source}), 422)
    assert problem["reason"] == "BadVideo"
    assert words in problem["detail"]
    assert "hunter2" not in str(problem)


def test_a_dead_source_without_a_probe_fails_with_its_reason(system: Whole) -> None:
    system.create(id="dead", source=f"http://127.0.0.1:{free_port()}/camera", probe=False)
    subscriber = Subscriber(system.url, "dead")
    subscriber.start()
    events = subscriber.until_over(60)
    assert events[-1].state_changed.state == common_pb2.STREAM_STATE_FAILED
    failure = next(event.failure for event in events if event.HasField("failure"))
    assert failure.reason == "BadVideo"
    assert system.stream("dead")["reason"] == failure.message
    assert system.state("dead") == "failed"


def test_a_source_that_never_answers(system: Whole) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f"http://127.0.0.1:{silent.getsockname()[1]}/camera"
        started_s = time.monotonic()
        with system.client() as client:
            told(client.post("/v1/streams", json={"source": source}), 422)
        assert time.monotonic() - started_s < 15


def not_a_video(folder: Path) -> Path:
    path = folder / "letter.mp4"
    path.write_text("Dear camera,\n" * 100)
    return path


def only_sound(folder: Path) -> Path:
    path = folder / "sound.wav"
    with wave.open(str(path), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16_000))
    return path


def unknown_codec(folder: Path) -> Path:
    path = folder / "future.mp4"
    data = (folder / "clip.mp4").read_bytes()
    assert b"avc1" in data
    # The sample entry: a codec that nobody has heard of.
    path.write_bytes(data.replace(b"avc1", b"zzz9"))
    return path


@pytest.mark.parametrize("make", [not_a_video, only_sound, unknown_codec])
def test_a_file_that_holds_no_video_that_can_be_decoded(
    system: Whole, files: Path, make: Callable[[Path], Path]
) -> None:
    path = make(files)
    with system.client() as client:
        problem = told(client.post("/v1/streams", json={"source": str(path)}), 422)
    assert problem["reason"] == "BadVideo"
    assert path.name in problem["detail"]


@pytest.fixture(scope="module")
def running_stream(system: Whole, files: Path) -> str:
    """A stream that goes on for the whole module."""
    system.create(id="on", source=str(files / "clip.mp4"), pace="realtime", loop=True)
    assert soon(lambda: int(system.stream("on").get("decided_sequence", 0)) >= 1)
    return "on"


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b'{"text": "What', "application/json", 400),
        (b"[1, 2]", "application/json", 422),
        (b'{"text": ""}', "application/json", 422),
        (b'{"text": 5}', "application/json", 422),
        (b'{"text": "What?", "colour": "red"}', "application/json", 422),
        (b'{"text": "What?"}', "text/plain", 415),
        (b'{"text": "' + b"x" * 5000 + b'"}', "application/json", 422),
        (b'{"text": "' + b"x" * 300_000 + b'"}', "application/json", 413),
    ],
    ids=["cut off", "an array", "empty", "a number", "misspelt", "not JSON by its word", "long", "huge"],
)
def test_a_question_that_cannot_be_asked(
    system: Whole, running_stream: str, content: bytes, kind: str, status: int
) -> None:
    with system.client() as client:
        path = f"/v1/streams/{running_stream}/questions"
        told(client.post(path, content=content, headers={"content-type": kind}), status)


def test_a_question_of_more_tokens_than_the_network_is_used_to(system: Whole, running_stream: str) -> None:
    """It is short enough for the gateway, and the decoder knows better."""
    with system.client() as client:
        response = client.post(f"/v1/streams/{running_stream}/questions", json={"text": "why car " * 400})
    problem = told(response, 422)
    assert "token" in problem["detail"]
    assert system.state(running_stream) == "running"


class Deaf:
    """Asks for events, and does not read them."""

    def __init__(self, url: str, stream: str) -> None:
        host, _, port = url.removeprefix("http://").partition(":")
        self._socket = socket.socket()
        # Before connecting: then the window stays small.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self._socket.connect((host, int(port)))
        request = f"GET /v1/streams/{stream}/events?after=0 HTTP/1.1\r\nHost: {host}\r\n\r\n"
        self._socket.sendall(request.encode())

    def read_at_last(self) -> tuple[list[int], bool]:
        """Sequences of whatever has come, and whether the connection was over then."""
        data, over = b"", False
        self._socket.settimeout(10)
        try:
            while more := self._socket.recv(65_536):
                data += more
            over = True
        except ConnectionResetError:
            over = True
        except TimeoutError:
            pass
        self._socket.close()
        _, _, body = data.partition(b"\r\n\r\n")
        # Chunked transfer: lines of sizes and empty ones between the chunks.
        text = re.sub(rb"(?m)^[0-9a-f]+\r\n|\r\n", b"", body)
        return [int(event.id) for event in server_events([text]) if event.id], over


def test_a_subscriber_that_never_reads_is_cut_off_harms_nobody_and_can_resume(
    system: Whole, files: Path
) -> None:
    probes = [
        {"kind": "probe", "name": f"p{n}", "text": "A red car parks in the left bay." * 8} for n in range(6)
    ]
    system.create(id="deaf", source=str(files / "clip.mp4"), pace="fast", fps=2, standing=probes)
    deaf = Deaf(system.url, "deaf")
    attentive = Subscriber(system.url, "deaf")
    attentive.start()
    events = attentive.until_over(150)
    numbers = list(range(1, len(events) + 1))
    assert attentive.sequences() == numbers
    assert len(numbers) > 800, "more than queue and buffers hold"
    with system.client() as client:
        subscribers = client.get("/v1/streams/deaf").json()["live"]["num_subscribers"]
    assert subscribers == 0, "it was left behind"
    time.sleep(float(SETTINGS["LIVESTAR_GATEWAY_STALLED_S"]) + 2)
    got, over = deaf.read_at_last()
    assert over, "the connection is closed"
    assert got == numbers[: len(got)]
    assert len(got) < len(numbers), "it was cut off"
    with (
        system.client() as client,
        client.stream(
            "GET", "/v1/streams/deaf/events", headers={"Last-Event-ID": str(got[-1] if got else 0)}
        ) as response,
    ):
        rest = [int(event.id) for event in server_events(response.iter_bytes()) if event.id]
    assert [*got, *rest] == numbers


@contextlib.contextmanager
def another(system: Whole, service: str) -> Iterator[subprocess.Popen[bytes]]:
    """One more replica of a service, ready."""
    first = system.processes()[service]
    log = system.logs / f"{service}-2.log"
    with log.open("wb") as said:
        replica = subprocess.Popen(first.cmdline(), env=first.environ(), stdout=said, stderr=said)
    try:
        assert soon(lambda: '"event": "ready"' in log.read_text(), 90), log.read_text()
        yield replica
    finally:
        replica.terminate()
        replica.wait(30)


def test_a_decoder_is_killed_and_another_takes_its_streams_over(system: Whole, files: Path) -> None:
    clip = write_clip(make_clip("court", 11, 30, Split.TEST), files / "court.mp4", size=224)
    streams = ("taken-1", "taken-2")
    with system.client() as client:
        client.delete("/v1/streams/on")
    doomed = system.processes()["decoder"]
    for stream in streams:
        system.create(id=stream, source=str(clip), pace="realtime", max_in_flight=64)
    subscribers = {stream: [Subscriber(system.url, stream) for _ in range(2)] for stream in streams}
    for subscriber in itertools.chain(*subscribers.values()):
        subscriber.start()
    first = subscribers["taken-1"][0]
    assert soon(lambda: first.decided_frame() >= 2)
    with another(system, "decoder"):
        assert soon(lambda: first.decided_frame() >= 6)
        assert not first.over, "the clip is long enough"
        doomed.kill()
        for stream, heard in subscribers.items():
            events = heard[0].until_over(120)
            assert heard[1].until_over(10) == events
            check_taken_over(stream, events)


def check_taken_over(stream: str, events: Sequence[StreamEvent]) -> None:
    """Nothing twice, nothing missing: neither events nor frames."""
    assert [event.sequence for event in events] == list(range(1, len(events) + 1)), stream
    assert events[-1].state_changed.state == common_pb2.STREAM_STATE_ENDED
    assert not [event for event in events if event.HasField("frames_missing") or event.HasField("failure")]
    narration = [frame for frame, decision in decisions(events) if decision.channel == "narration"]
    assert narration == list(range(1, 31)), stream
    epochs = [event.epoch for event in events]
    assert epochs == sorted(epochs)
    assert len(set(epochs)) == 2, "two decoders had it, one after the other"


def kill(redis: EmbeddedRedis) -> None:
    """SIGKILL for the server itself."""
    for process in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.ZombieProcess):
            if "server" in process.name() and any(str(redis.port) in word for word in process.cmdline()):
                process.kill()
                return
    raise AssertionError("the server is not among our processes")


def test_redis_is_killed_and_comes_back(tmp_path: Path, files: Path) -> None:
    data = tmp_path / "redis"
    (logs := tmp_path / "logs").mkdir()
    with contextlib.ExitStack() as stack:
        redis = stack.enter_context(EmbeddedRedis(data=data))
        system = stack.enter_context(running(logs, files, SETTINGS, redis_url=redis.url))
        system.create(id="before", source=str(files / "clip.mp4"), pace="realtime", loop=True)
        subscriber = Subscriber(system.url, "before")
        subscriber.start()
        assert soon(lambda: subscriber.decided_frame() >= 5)
        kill(redis)
        away_since_s = time.monotonic()
        for method, path, body in (
            ("GET", "/v1/streams/before", None),
            ("GET", "/v1/streams", None),
            ("POST", "/v1/streams", {"source": str(files / "clip.mp4"), "probe": False}),
        ):
            with system.client() as client:
                problem = told(client.request(method, path, json=body), 503)
            assert problem["retryable"] is True
            assert "Redis" in problem["detail"]
        assert time.monotonic() - away_since_s < 30, "each answer comes in time"
        stack.enter_context(EmbeddedRedis(data=data, port=redis.port))
        decided = subscriber.decided_frame()
        assert soon(lambda: system_answers(system), 30)
        goes_on = soon(
            lambda: subscriber.decided_frame() > decided + 5 or system.state("before") in FINAL, 60
        )
        assert goes_on, (system.stream("before"), system.complaints())
        info = system.stream("before")
        if system.state("before") in FINAL:
            assert info["reason"]
        system.create(id="after", source=str(files / "clip.mp4"), pace="realtime")
        assert soon(lambda: int(system.stream("after").get("decided_sequence", 0)) >= 2, 60)
        with system.client() as client:
            for stream in ("before", "after"):
                assert client.delete(f"/v1/streams/{stream}").status_code == 200
        assert soon(lambda: system.state("before") in FINAL, 30)
        subscriber.until_over(30)
        check_told_or_gapless(subscriber)
        system.check()


def system_answers(system: Whole) -> bool:
    with system.client() as client:
        return client.get("/v1/streams").status_code == 200


def check_told_or_gapless(subscriber: Subscriber) -> None:
    """Each sequence once and in order; where some are missing, it was said before."""
    last = 0
    for event in subscriber.events:
        if event.HasField("events_missed"):
            last = event.events_missed.oldest_sequence - 1
        elif event.sequence:
            assert event.sequence == last + 1, subscriber.others
            last = event.sequence


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing(tmp_path: Path, files: Path, signum: signal.Signals) -> None:
    port = free_port()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    command = [EXECUTABLE, "up", "--port", str(port), "--files", files]
    with (tmp_path / "said").open("wb") as said:
        owner = subprocess.Popen(
            command, env=environment, stdout=said, stderr=said, start_new_session=True, cwd=tmp_path
        )
    try:
        url = f"http://127.0.0.1:{port}"
        assert soon(lambda: "Ctrl-C stops" in (tmp_path / "said").read_text(), 120)
        body = {"source": str(files / "clip.mp4"), "id": "cut", "pace": "realtime"}
        assert httpx.post(f"{url}/v1/streams", json=body, trust_env=False, timeout=20).status_code == 201
        subscriber = Subscriber(url, "cut")
        subscriber.start()
        assert soon(lambda: subscriber.decided_frame() >= 2)
        family = psutil.Process(owner.pid).children(recursive=True)
        assert len(family) >= 7, "six services and Redis"
        owner.send_signal(signum)
        status = owner.wait(60)
    finally:
        with contextlib.suppress(ProcessLookupError):
            owner.kill()
        owner.wait(10)
    assert status in (0, 130), (tmp_path / "said").read_text()
    assert soon(lambda: not any(child.is_running() for child in family), 10), [
        p for p in family if p.is_running()
    ]
    assert "Traceback" not in (tmp_path / "said").read_text()
    with socket.socket() as probe:
        assert probe.connect_ex(("127.0.0.1", port)) != 0, "nobody listens any more"
    assert not list(tmp_path.glob("livestar-?*/*")), "nothing temporary is left"
