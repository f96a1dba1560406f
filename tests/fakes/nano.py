"""The shipped checkpoint, and what it sees of a few synthetic clips."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch
from services.decoder.settings import DecoderSettings

from fakes.decoding import Seen
from livestar.client.model_folder import Recommended, find_model
from livestar.core.decision import Decision, Event
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, StreamSettings
from livestar.model import LoadedModel
from livestar.model.identity import model_id
from livestar.synth.catalogue import families, make_clip


class Nano:
    """Loaded once a test run."""

    def __init__(self) -> None:
        self.folder: Path = find_model("nano")
        self.model_id = model_id(self.folder)
        torch.set_num_threads(1)
        self.model = LoadedModel.from_directory(self.folder)
        self._seen: dict[tuple[int, int, int], torch.Tensor] = {}

    def seen(self, stream: str, *, family: int, num_frames: int, seed: int = 3) -> Seen:
        """A clip at one frame a second."""
        known = (family, num_frames, seed)
        if known not in self._seen:
            clip = make_clip(families()[family].name, seed, float(num_frames))
            self._seen[known] = self.model.see([clip.render(float(t)) for t in range(num_frames)])
        return Seen(StreamId(stream), self.model_id, self._seen[known])

    def settings(self, **changes: object) -> StreamSettings:
        """As a decoder with its own defaults watches with this checkpoint."""
        recommended, decoder = Recommended.of(self.folder), DecoderSettings()
        settings = StreamSettings(
            gate=GateSettings(alpha=recommended.alpha),
            question_alpha=recommended.question_alpha,
            max_trunk_tokens=recommended.max_trunk_tokens,
            max_caption_tokens=decoder.max_caption_tokens,
            max_question_tokens=decoder.max_question_tokens,
            max_chain_tokens=decoder.max_chain_tokens,
            max_channels=decoder.max_channels,
            max_open_questions=decoder.max_open_questions,
        )
        return replace(settings, **changes)

    def watch(
        self,
        seen: Seen,
        *,
        settings: StreamSettings | None = None,
        standing: Sequence[str] = (),
        without: Sequence[int] = (),
    ) -> list[Decision]:
        """What the engine decides of a clip, alone and in this process; standing questions are named q1, q2 …"""
        engine = Engine.of(self.model, EngineSettings(num_pages=1024))
        engine.open_stream(seen.stream, settings or self.settings())
        for index, text in enumerate(standing, start=1):
            engine.stand(seen.stream, text, channel=f"q{index}")
        events: list[Event] = []
        for number in range(1, len(seen.tokens) + 1):
            if number in without:
                continue
            frame = EncodedFrame(FrameNumber(number), (number - 1) * 1_000_000_000, seen.tokens[number - 1])
            engine.submit_frame(seen.stream, frame)
            events += engine.run_until_idle()
        return [event for event in events if isinstance(event, Decision)]
