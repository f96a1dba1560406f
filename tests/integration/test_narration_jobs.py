"""Narrations: from a stream of the system into files, again from where they stopped, and never twice."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from services.jobs.narration import Narration
from services.jobs.settings import JobsSettings

from fakes.edge import Edge, became, missed, spoke, story
from fakes.video import MILLISECONDS, steady, write_clip
from livestar.bus import EmbeddedRedis, RedisLink
from livestar.bus.job import Job, JobInfo, JobProgress, JobState
from livestar.bus.job_book import JobBook
from livestar.core.errors import LeaseLost

pytestmark = [pytest.mark.integration, pytest.mark.anyio]

STREAM = "job-match"


@pytest.fixture
def book(redis_link: RedisLink) -> JobBook:
    return JobBook(redis_link)


@pytest.fixture
def edge() -> Iterator[Edge]:
    with Edge(story()) as edge:
        yield edge


@pytest.fixture
def settings(edge: Edge, redis_server: EmbeddedRedis, tmp_path: Path) -> JobsSettings:
    return JobsSettings(
        redis_url=redis_server.url, gateway=edge.url, out_dir=tmp_path / "out", stalled_s=30.0, silent_s=5.0
    )


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds, as its last frame is shown for a moment only."""
    return write_clip(
        steady("match.mp4", 24, step=250, tick=MILLISECONDS), tmp_path_factory.mktemp("recording")
    )


async def worked_on(settings: JobsSettings, worker: str = "w/1") -> JobState | None:
    return await asyncio.to_thread(Narration(settings, worker).work_on, "match")


async def soon(book: JobBook, what: Callable[[JobInfo], bool]) -> JobInfo:
    deadline_s = time.monotonic() + 10
    while time.monotonic() < deadline_s:
        if what(info := await book.get("match")):
            return info
        await asyncio.sleep(0.02)
    raise AssertionError(info)


def lines_of(info: JobInfo) -> list[dict[str, object]]:
    return [json.loads(line) for line in Path(info.files["jsonl"]).read_text().splitlines()]


async def test_a_recording_becomes_three_files(
    book: JobBook, settings: JobsSettings, edge: Edge, recording: Path
) -> None:
    await book.create(Job("match", str(recording), 2.0, 1.3, "Be brief.", ("Who leads?",)))
    assert await worked_on(settings) is JobState.DONE
    info = await book.get("match")
    assert [line["sequence"] for line in lines_of(info)] == [1, 2, 3, 4, 5]
    assert Path(info.files["srt"]).read_text().startswith("1\n00:00:00,000 --> 00:00:02,000\nCaption 0.\n")
    assert Path(info.files["vtt"]).read_text().endswith("00:00:04.000 --> 00:00:05.783\nCaption 2.\n")
    assert info.progress == JobProgress(STREAM, 5, 6.0, info.progress.duration_s, 3)
    assert info.progress.share == 1.0
    assert sorted(path.name for path in Path(info.files["srt"]).parent.iterdir()) == [
        "narration.jsonl",
        "narration.srt",
        "narration.vtt",
    ]
    [body] = [body for method, _, body in edge.requests if method == "POST"]
    assert body == {
        "source": str(recording),
        "id": STREAM,
        "fps": 2.0,
        "pace": "fast",
        "alpha": 1.3,
        "task_prompt": "Be brief.",
        "standing": ["Who leads?"],
    }
    asked = len(edge.requests)
    assert await worked_on(settings, "w/2") is None
    assert len(edge.requests) == asked, "a nudge that comes twice does nothing"


async def test_it_goes_on_from_where_another_stopped(
    book: JobBook, settings: JobsSettings, edge: Edge, recording: Path, tmp_path: Path
) -> None:
    """The one before was killed in the middle of a line."""
    await book.create(Job("match", str(recording)))
    assert await worked_on(settings, "a/1") is JobState.DONE
    whole = lines_of(await book.get("match"))
    folder = settings.out_dir / "match"
    part = "".join(json.dumps(line) + "\n" for line in whole[:3]) + json.dumps(whole[3])[:20]
    (folder / "narration.jsonl").unlink()
    (folder / "narration.jsonl.part").write_text(part)
    await book.delete("match")
    await book.create(Job("match", str(recording)))
    edge.requests.clear()
    assert await worked_on(settings, "b/1") is JobState.DONE
    info = await book.get("match")
    assert lines_of(info) == whole
    assert info.progress.num_captions == 3
    assert edge.asked("GET") == [f"/v1/streams/{STREAM}/events?after=3"]


async def test_a_stream_that_forgot_is_watched_again(
    book: JobBook, settings: JobsSettings, edge: Edge, recording: Path
) -> None:
    edge.of_stream = {STREAM: [missed(0, 4), spoke(4, 3, "Late.")]}
    await book.create(Job("match", str(recording)))
    assert await worked_on(settings) is JobState.DONE
    info = await book.get("match")
    assert [line["stream"] for line in lines_of(info)] == [f"{STREAM}-1"] * 5
    assert (info.progress.stream, info.progress.num_captions) == (f"{STREAM}-1", 3)


async def test_a_lost_connection_loses_nothing(
    book: JobBook, settings: JobsSettings, edge: Edge, recording: Path
) -> None:
    edge.events, edge.cut_after = story(9), [3, 1, 4]
    await book.create(Job("match", str(recording)))
    assert await worked_on(settings) is JobState.DONE
    assert [line["sequence"] for line in lines_of(await book.get("match"))] == list(range(1, 12))


@pytest.mark.parametrize(
    ("source", "events", "because"),
    [
        ("/none.mp4", story(), "none.mp4 does not exist: check the path."),
        ("match.mp4", [became(1, 0, "failed", "the disk is full")], "the disk is full"),
        ("match.mp4", [became(1, 0, "stopped")], "its stream job-match was stopped before its end"),
        ("match.mp4", [], "nothing has come for 1 s: see the logs of ingest and decoder"),
    ],
)
async def test_what_cannot_work_is_said(
    book: JobBook, settings: JobsSettings, edge: Edge, source: str, events: list, because: str
) -> None:
    edge.events = events
    if not events:
        edge.hold, settings = threading.Event(), settings.model_copy(update={"stalled_s": 1.0})
    await book.create(Job("match", source))
    assert await worked_on(settings) is JobState.FAILED
    info = await book.get("match")
    assert (info.reason, info.files) == (because, {})


async def test_a_full_disk_is_said(book: JobBook, settings: JobsSettings, recording: Path) -> None:
    settings.out_dir.write_text("a file where the folder should be")
    await book.create(Job("match", str(recording)))
    assert await worked_on(settings) is JobState.FAILED
    assert "Not a directory" in (await book.get("match")).reason


@pytest.mark.parametrize("leaving", [False, True])
async def test_a_caller_or_the_end_of_its_worker_stops_it(
    book: JobBook, settings: JobsSettings, edge: Edge, recording: Path, leaving: bool
) -> None:
    edge.events, edge.hold = story()[:3], threading.Event()
    await book.create(Job("match", str(recording)))
    working = asyncio.create_task(worked_on(settings))
    await soon(book, lambda info: info.progress.sequence == 3)
    await (book.leave("w", for_s=9) if leaving else book.cancel("match"))
    assert await working is (JobState.QUEUED if leaving else JobState.CANCELLED)
    assert edge.asked("DELETE") == ([] if leaving else [f"/v1/streams/{STREAM}"])
    assert (settings.out_dir / "match").exists() == leaving


async def test_one_that_lost_its_job_leaves_it_alone(
    book: JobBook, settings: JobsSettings, edge: Edge, recording: Path, redis_link: RedisLink
) -> None:
    edge.events, edge.hold = story()[:3], threading.Event()
    await book.create(Job("match", str(recording)))
    working = asyncio.create_task(worked_on(settings, "a/1"))
    await soon(book, lambda info: info.progress.sequence == 3)
    # It may have told its progress this very moment.
    while await book.claim("match", "b/1", silent_s=0.001) is None:
        await asyncio.sleep(0.01)
    with pytest.raises(LeaseLost):
        await working
    assert edge.asked("DELETE") == []
    assert (settings.out_dir / "match" / "narration.jsonl.part").exists()


@pytest.mark.slow
async def test_in_a_process_of_its_own(
    book: JobBook, settings: JobsSettings, recording: Path, tiny_checkpoint: Path, edge: Edge
) -> None:
    own = settings.model_copy(update={"how": "process", "model": str(tiny_checkpoint), "stalled_s": 60.0})
    await book.create(Job("match", str(recording), standing=("What is it?",)))
    assert await worked_on(own) is JobState.DONE
    info = await book.get("match")
    narrated = [line for line in lines_of(info) if line.get("channel") == "narration"]
    assert [line["frame"] for line in narrated] == [1, 2, 3, 4, 5, 6]
    assert {line.get("channel") for line in lines_of(info)} == {"narration", "q1"}
    assert edge.requests == []


async def test_a_process_that_fails_is_quoted(book: JobBook, settings: JobsSettings, edge: Edge) -> None:
    await book.create(Job("match", "/none.mp4"))
    assert await worked_on(settings.model_copy(update={"how": "process"})) is JobState.FAILED
    assert (await book.get("match")).reason == "/none.mp4 does not exist: check the path."
    assert edge.requests == []
