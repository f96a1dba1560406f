"""Narrates one recording: its events, line by line, into files; again from where it stopped when it was interrupted."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from livestar.bus import RedisLink
from livestar.bus.job import Job, JobProgress, JobState, Order
from livestar.bus.job_book import JobBook, with_source
from livestar.client.aside import Aside
from livestar.client.gateway_client import GatewayClient
from livestar.client.json_lines import json_line
from livestar.client.stream_lines import line_of
from livestar.client.stream_request import StreamRequest
from livestar.client.subtitles import Caption, srt, webvtt
from livestar.client.watch_process import watching
from livestar.core.errors import BadVideo, DeadlineExceeded, LeaseLost, LiveStarError, Unavailable
from livestar.core.ids import NARRATION
from livestar.media import VideoSource
from services.jobs.settings import JobsSettings

TELL_EVERY_S = 0.5
LINES, SRT, VTT = "narration.jsonl", "narration.srt", "narration.vtt"

Line = dict[str, Any]
T = TypeVar("T")


class Cancelled(Exception):
    """A caller wants no more of it."""


class Leaving(Exception):
    """The worker ends; somebody else goes on."""


class EventsGone(Exception):
    """The stream does not remember where we were: it has to be watched again."""


class Narration:
    """One job under way. Belongs to one thread.

    Args:
        settings: how jobs are worked on.
        worker: name of whoever does it; its part before the slash names the group.
    """

    def __init__(self, settings: JobsSettings, worker: str) -> None:
        self._settings = settings
        self._worker = worker
        self._progress = JobProgress()
        self._captions: list[Caption] = []
        self._told_s = 0.0
        self._job = ""

    def work_on(self, job: str) -> JobState | None:
        """Takes the job and brings it to its end, or hands it back; None: it is not to be had.

        Raises:
            LeaseLost: another worker has taken it in the meantime; what it needs is untouched.
        """
        self._job = job
        with asyncio.Runner() as self._loop:
            self._link = RedisLink(self._settings.redis_url.get_secret_value(), max_connections=4)
            self._book = JobBook(self._link)
            try:
                return self._work_on(job)
            finally:
                self._loop.run(self._link.close())

    def _work_on(self, name: str) -> JobState | None:
        info = self._loop.run(self._book.claim(name, self._worker, silent_s=self._settings.silent_s))
        if info is None:
            return None
        job = with_source(info, self._loop.run(self._book.source(name)))
        self._progress = replace(info.progress, duration_s=0.0)
        state, reason, files = self._outcome(job, info.attempt)
        self._loop.run(
            self._book.finish(name, self._worker, state, self._progress, reason=reason, files=files)
        )
        return state

    def _outcome(self, job: Job, attempt: int) -> tuple[JobState, str, dict[str, str]]:
        folder = self._settings.out_dir.resolve() / job.id
        try:
            return JobState.DONE, "", self._narrate(job, attempt, folder)
        except Cancelled:
            shutil.rmtree(folder, ignore_errors=True)
            return JobState.CANCELLED, "", {}
        except Leaving:
            return JobState.QUEUED, "its worker ended: it goes on with another", {}
        except LeaseLost:
            raise
        except (LiveStarError, OSError) as error:
            return JobState.FAILED, str(error), {}

    def _narrate(self, job: Job, attempt: int, folder: Path) -> dict[str, str]:
        folder.mkdir(parents=True, exist_ok=True)
        self._progress = replace(self._progress, duration_s=_duration_s(job.source))
        self._tell()
        part = folder / f"{LINES}.part"
        if self._settings.how == "process":
            part.unlink(missing_ok=True)
            self._write_down(self._lines_of_a_process(job), part)
        else:
            self._through_the_system(job, attempt, part)
        return self._publish(folder, part)

    def _through_the_system(self, job: Job, attempt: int, part: Path) -> None:
        try:
            self._write_down(self._lines_of_a_stream(job, f"job-{job.id}", part), part)
        except EventsGone:
            # From the beginning, as a stream of its own.
            part.unlink(missing_ok=True)
            self._captions.clear()
            self._write_down(self._lines_of_a_stream(job, f"job-{job.id}-{attempt}", part), part)

    def _write_down(self, lines: Iterator[Line], part: Path) -> None:
        with part.open("a", encoding="utf-8") as file:
            for line in lines:
                file.write(json_line(line) + "\n")
                file.flush()
                self._take(line)
            os.fsync(file.fileno())

    def _take(self, line: Line) -> None:
        if (
            line.get("action") == "speak"
            and line.get("channel") == NARRATION
            and line.get("ending") in ("complete", "truncated")
        ):
            self._captions.append(Caption(float(line["pts_s"]), str(line["text"])))
        self._progress = replace(
            self._progress,
            sequence=int(line.get("sequence", 0)) or self._progress.sequence,
            pts_s=max(self._progress.pts_s, float(line.get("pts_s", 0.0))),
            num_captions=len(self._captions),
        )

    def _lines_of_a_stream(self, job: Job, stream: str, part: Path) -> Iterator[Line]:
        after = self._take_up(part, stream)
        request = StreamRequest(job.source, stream, job.fps, "fast", job.alpha, job.task_prompt, job.standing)
        self._progress = replace(self._progress, stream=stream)
        token = self._settings.gateway_token.get_secret_value()
        with GatewayClient(self._settings.gateway, token) as gateway:
            try:
                gateway.create_stream(request)
                yield from self._followed(gateway, stream, after)
            except Cancelled:
                gateway.stop_stream(stream)
                raise

    def _followed(self, gateway: GatewayClient, stream: str, after: int) -> Iterator[Line]:
        with Aside(lambda: gateway.events(stream, after=after), "events") as events:
            for event in self._patiently(iter(events)):
                line = line_of(event)
                if line is None:
                    continue
                if line["event"] == "events_missed":
                    raise EventsGone
                yield line
                if line["event"] == "state" and line["state"] in ("failed", "stopped"):
                    raise BadVideo(str(line["reason"]) or f"its stream {stream} was stopped before its end")

    def _patiently(self, things: Iterator[T | None]) -> Iterator[T]:
        """Leaves the pauses out, and looks up in them.

        Raises:
            DeadlineExceeded: nothing has come for too long.
        """
        heard_s = time.monotonic()
        for thing in things:
            if thing is not None:
                heard_s = time.monotonic()
                yield thing
            elif time.monotonic() > heard_s + self._settings.stalled_s:
                raise DeadlineExceeded(
                    f"nothing has come for {self._settings.stalled_s:g} s: see the logs of ingest and decoder"
                )
            if self._is_time_to_tell():
                self._tell()

    def _take_up(self, part: Path, stream: str) -> int:
        """Reads what an earlier attempt wrote; returns the cursor behind it. A line that was cut off is taken away."""
        self._captions.clear()
        if not part.exists():
            return 0
        whole, cursor = [], 0
        for text in part.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True):
            line = _parsed(text)
            if line is None or line.get("stream") != stream:
                break
            whole.append(text)
            self._take(line)
            cursor = int(line["sequence"])
        part.write_text("".join(whole), encoding="utf-8")
        return cursor

    def _lines_of_a_process(self, job: Job) -> Iterator[Line]:
        options = ["--model", self._settings.model, "--fps", f"{job.fps:g}"]
        if job.alpha is not None:
            options += ["--alpha", f"{job.alpha:g}"]
        for question in job.standing:
            options += ["--standing", question]
        with watching(job.source, options) as lines:
            yield from self._patiently(lines)

    def _publish(self, folder: Path, part: Path) -> dict[str, str]:
        end_s = self._progress.duration_s or None
        for name, text in ((SRT, srt(self._captions, end_s)), (VTT, webvtt(self._captions, end_s))):
            (folder / f"{name}.part").write_text(text, encoding="utf-8")
            (folder / f"{name}.part").replace(folder / name)
        part.replace(folder / LINES)
        return {"jsonl": str(folder / LINES), "srt": str(folder / SRT), "vtt": str(folder / VTT)}

    def _is_time_to_tell(self) -> bool:
        return time.monotonic() >= self._told_s + TELL_EVERY_S

    def _tell(self) -> None:
        """Says how far it is, and does what is asked for.

        Raises:
            Cancelled, Leaving: that.
            LeaseLost: another worker has it.
        """
        self._told_s = time.monotonic()
        try:
            order = self._loop.run(self._book.progress(self._job, self._worker, self._progress))
        except Unavailable:
            # Redis is away for a moment; whether the job is still ours is asked again.
            return
        if order is Order.CANCEL:
            raise Cancelled
        if order is Order.LEAVE:
            raise Leaving


def _duration_s(source: str) -> float:
    """Its length; 0: unknown, or only the system can reach it."""
    with suppress(BadVideo), VideoSource.open(source) as video:
        return video.duration_s or 0.0
    return 0.0


def _parsed(text: str) -> Line | None:
    try:
        line = json.loads(text)
    except ValueError:
        return None
    return line if isinstance(line, dict) and text.endswith("\n") else None
