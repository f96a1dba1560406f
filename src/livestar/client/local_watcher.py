"""Watches one video in this process: source -> vision encoder -> engine -> events."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import torch

from livestar.client.timed_question import Asked, TimedQuestion
from livestar.core.decision import Event, StreamFailed
from livestar.core.frame import EncodedFrame
from livestar.core.ids import StreamId
from livestar.engine import Engine, EngineSettings, StreamSettings
from livestar.engine.state import check_settings
from livestar.media import SampledFrame, VideoSource, pace
from livestar.model import LoadedModel

STREAM = StreamId("local")


class LocalWatcher:
    """Runs a checkpoint on a video, frame by frame.

    Args:
        directory: checkpoint folder.
        dtype: of weights and cache.
        device: where the network runs.

    Raises:
        CheckpointError: the folder does not hold a LiveStar checkpoint.
    """

    def __init__(
        self, directory: Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
    ) -> None:
        self._model = LoadedModel.from_directory(directory, dtype=dtype, device=device)

    def watch(
        self,
        source: VideoSource,
        settings: StreamSettings,
        *,
        fps: float,
        speed: float | None = None,
        questions: tuple[TimedQuestion, ...] = (),
        standing: tuple[str, ...] = (),
    ) -> Iterator[Event | Asked]:
        """Opens the stream, and returns its events as they happen, to the end of the video.

        Args:
            source: an open video.
            settings: how to watch.
            fps: frames to sample per second.
            speed: 1.0 is the pace of life; None is as fast as possible.
            questions: asked at their times.
            standing: standing questions, open from the start; their channels are named q1, q2 …

        Raises:
            InvalidInput: settings or a standing question do not fit this checkpoint.
            FailedPrecondition: standing questions in mode `reference`.
            BadVideo: while iterating: the video breaks off in a way that cannot be read over.
        """
        network = self._model.network.config.llm_config
        check_settings(settings, self._model.template, max_positions=network.max_position_embeddings)
        page_size = EngineSettings().page_size
        engine = Engine.of(self._model, EngineSettings(num_pages=settings.max_rows // page_size + 2))
        engine.open_stream(STREAM, settings)
        for index, text in enumerate(standing, start=1):
            engine.stand(STREAM, text, channel=f"q{index}")
        return self._events(engine, pace(source.frames(fps), speed), questions)

    def _events(
        self, engine: Engine, frames: Iterator[SampledFrame], questions: tuple[TimedQuestion, ...]
    ) -> Iterator[Event | Asked]:
        waiting = sorted(questions, key=lambda question: question.at_s)
        frame: SampledFrame | None = None
        for frame in frames:
            engine.submit_frame(STREAM, self._encode(frame))
            yield from _until_idle(engine)
            while waiting and waiting[0].at_s <= frame.pts_ns / 1e9:
                yield from _ask(engine, waiting.pop(0), frame)
        if frame is not None:
            for question in waiting:
                yield from _ask(engine, question, frame)
        engine.close_stream(STREAM)

    def _encode(self, frame: SampledFrame) -> EncodedFrame[torch.Tensor]:
        return EncodedFrame(frame.number, frame.pts_ns, self._model.see([frame.rgb])[0])


def _ask(engine: Engine, question: TimedQuestion, frame: SampledFrame) -> Iterator[Event | Asked]:
    """Asks about what has been seen up to `frame`, and waits for the answer."""
    asked = engine.ask(STREAM, question.text)
    yield Asked(asked, frame.number, frame.pts_ns, question.text)
    yield from _until_idle(engine)


def _until_idle(engine: Engine) -> Iterator[Event]:
    """The engine's events; a stream that failed ends the watching with its error."""
    for event in engine.run_until_idle():
        if isinstance(event, StreamFailed):
            raise event.error
        yield event
