"""A tiny network in an engine, with frames that are random visual tokens: everything but pictures."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from livestar.core.decision import Decision, Event
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, StreamSettings
from livestar.engine.gate import NS_PER_S
from livestar.model import ChatTemplate, LiveStarModel, Tokenizer, load_model

STREAM = StreamId("stream")


@dataclass(frozen=True)
class TinyNetwork:
    """A loaded tiny checkpoint."""

    model: LiveStarModel
    tokenizer: Tokenizer
    template: ChatTemplate

    @classmethod
    def load(cls, directory: Path, *, lively: bool = True) -> TinyNetwork:
        tokenizer = Tokenizer.from_directory(directory)
        model = load_model(directory, dtype=torch.float32)
        if lively:
            _enliven(model)
        return cls(model, tokenizer, ChatTemplate.from_directory(directory, tokenizer))

    def engine(self, settings: EngineSettings | None = None) -> Engine:
        return Engine(self.model, self.tokenizer, self.template, settings or EngineSettings(num_pages=4096))

    def frame(
        self, number: int, *, seed: int = 0, scene: int | None = None, fps: float = 1.0
    ) -> EncodedFrame:
        """Frame `number`; frames of the same scene look alike, but for a little noise."""
        scene = number if scene is None else scene
        width = self.model.config.llm_config.hidden_size
        generator = torch.Generator().manual_seed(1_000_003 * seed + scene)
        noise = torch.Generator().manual_seed(1_000_003 * seed + 17 * number + 1)
        tokens = torch.randn(16, width, generator=generator) + 0.05 * torch.randn(16, width, generator=noise)
        return EncodedFrame(FrameNumber(number), round((number - 1) / fps * NS_PER_S), tokens)


@torch.no_grad()
def _enliven(model: LiveStarModel) -> None:
    """Doubles the language model's matrices: what a random network says then depends on what it sees."""
    for name, parameter in model.language_model.named_parameters():
        if parameter.dim() == 2 and "tok_embeddings" not in name:
            parameter.mul_(2)


def run(engine: Engine, *, check: bool = True) -> list[Event]:
    """Steps until idle, checking the cache after every pass."""
    events: list[Event] = []
    while True:
        events += engine.step()
        if check:
            engine.check_integrity()
        if not engine.has_work:
            return events + engine.step()


def narrate(
    network: TinyNetwork,
    settings: StreamSettings,
    frames: list[EncodedFrame],
    *,
    check: bool = True,
    engine: Engine | None = None,
) -> list[Decision]:
    """Opens a stream, watches frames one by one, and returns the narration's decisions."""
    engine = engine or network.engine()
    engine.open_stream(STREAM, settings)
    decisions: list[Decision] = []
    for frame in frames:
        engine.submit_frame(STREAM, frame)
        decisions += [event for event in run(engine, check=check) if isinstance(event, Decision)]
    engine.close_stream(STREAM)
    engine.check_integrity()
    return decisions
