"""One sentence for everything that is no video, saying what to do."""

from __future__ import annotations

import re
import socket
import threading
import time
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path

import pytest

from fakes.video import CLOCK_90K, numbered_frame, steady, write_clip, write_song
from livestar.core.errors import BadVideo
from livestar.media import VideoSource, write_video

pytestmark = pytest.mark.unit

SHORT = steady("short.mp4", 10, step=1, tick=Fraction(1, 25))


def refusal(source: str | Path, timeout_s: float = 5) -> str:
    with pytest.raises(BadVideo) as caught:
        VideoSource.open(source, timeout_s=timeout_s)
    sentence = str(caught.value)
    assert re.fullmatch(r".+: \w[^\n]+\.", sentence), "what is wrong, a colon, what to do"
    return sentence


def test_missing_file(tmp_path: Path) -> None:
    assert "nothing.mp4 does not exist: check the path" in refusal(tmp_path / "nothing.mp4")


def test_directory(tmp_path: Path) -> None:
    assert "is a directory: give the path of one video" in refusal(tmp_path)


@pytest.mark.parametrize("name", ["notes.mp4", "notes.txt", "empty.mp4"])
def test_text_and_nothing(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text("" if name == "empty.mp4" else "not a video\n" * 100, encoding="utf-8")
    assert re.search("no video that FFmpeg can read|is a text file: give a video", refusal(path))


def test_audio_only(tmp_path: Path) -> None:
    path = tmp_path / "sound.wav"
    with wave.open(str(path), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(bytes(16_000))
    assert "holds audio but no video: give a file with a video track" in refusal(path)


def test_a_cover_is_no_video(tmp_path: Path) -> None:
    write_song(tmp_path / "song.mp4")
    assert "holds audio but no video" in refusal(tmp_path / "song.mp4")


def test_unsupported_codec(tmp_path: Path) -> None:
    path = write_clip(SHORT, tmp_path)
    path.write_bytes(path.read_bytes().replace(b"avc1", b"zzzz"))
    assert "cannot decode: re-encode it" in refusal(path)


def test_no_frames(tmp_path: Path) -> None:
    """The header of an MP4 promises ten frames, and nothing follows."""
    path = tmp_path / "header.mp4"
    write_video(path, map(numbered_frame, range(10)), 25)
    content = path.read_bytes()
    path.write_bytes(content[: content.index(b"mdat") + 4])
    assert "no frame that decodes: record or export it again" in refusal(path)


def test_cut_short_before_its_index(tmp_path: Path) -> None:
    path = write_clip(SHORT, tmp_path)
    path.write_bytes(path.read_bytes()[:1000])
    assert "is cut short: export it again" in refusal(path)


def test_a_name_with_a_colon_is_a_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_clip(SHORT, tmp_path).rename(tmp_path / "cam 12:30.mp4")
    monkeypatch.chdir(tmp_path)
    with VideoSource.open("cam 12:30.mp4") as source:
        assert len(list(source.frames(25))) == 10


@contextmanager
def server(answer: bytes) -> Iterator[str]:
    """Takes one connection, answers so much, and then says nothing until the test is over."""
    over = threading.Event()

    def serve() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.sendall(answer)
            over.wait(10)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        thread.join()


@pytest.mark.parametrize("scheme", ["http", "rtsp"])
def test_a_server_that_does_not_answer(scheme: str) -> None:
    started_s = time.monotonic()
    with server(b"") as address:
        sentence = refusal(f"{scheme}://user:secret@{address}/live?token=secret", timeout_s=0.2)
    assert f"{scheme}://{address}/live did not answer within 0.2 s" in sentence
    assert "secret" not in sentence
    assert time.monotonic() - started_s < 3


def test_a_server_that_falls_silent(tmp_path: Path) -> None:
    sent = write_clip(steady("sent.ts", 250, step=3600, tick=CLOCK_90K), tmp_path).read_bytes()
    with (
        server(b"HTTP/1.1 200 OK\r\nContent-Type: video/mp2t\r\n\r\n" + sent) as address,
        VideoSource.open(f"http://{address}/live.ts", timeout_s=0.5) as source,
    ):
        assert source.is_live
        with pytest.raises(BadVideo, match=r"sent nothing for 0\.5 s: check that its sender"):
            list(source.frames(1))


def test_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
    assert "Connection refused): check the address" in refusal(f"http://{address}/live.ts")


def test_unknown_scheme() -> None:
    assert "scheme unknown to this FFmpeg: use a path" in refusal("carrier-pigeon://roof/1")
