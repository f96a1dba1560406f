"""How each trained method is served: which loop, under which one number that is calibrated."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import torch

from livestar.core.decision import Action, Decision, Ending
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings
from livestar.engine.gate import NS_PER_S
from livestar.evaluation.baseline_watch import OnlineSettings, watch_online
from livestar.evaluation.synth_annotations import ClipAnnotations
from livestar.evaluation.synthstar_watch import DEFAULT_STREAM
from livestar.evaluation.synthstar_watched import Said, Watched
from livestar.kv import PositionPolicy
from livestar.memory import Recent
from livestar.model import LoadedModel
from livestar.training.methods import HEAD_IDS, RECENT_FRAMES, eos_ids

STREAM = StreamId("baseline")
DECIDES_ITSELF = ("eos", "head")
HIDES_CAPTIONS = ("scam-released", "recent")


@dataclass(frozen=True)
class Serving:
    """A method and how it is served.

    Attributes:
        method: its name.
        value: alpha of the gate; for methods that decide themselves, the likelihood of silence below which they speak.
        mode: of the engine; None for methods that decide themselves.
    """

    method: str
    value: float
    mode: Mode | None

    @property
    def label(self) -> str:
        """For people."""
        kind = "silence <" if self.mode is None else f"{self.mode.value}, alpha"
        return f"{kind} {self.value:g}"


def servings(method: str, alphas: Sequence[float], thresholds: Sequence[float]) -> tuple[Serving, ...]:
    """All ways to serve a method that are tried on validation clips."""
    if method in DECIDES_ITSELF:
        return tuple(Serving(method, value, None) for value in thresholds)
    modes = (Mode.BRANCH, Mode.REFERENCE) if method == "causal" else (Mode.BRANCH,)
    return tuple(Serving(method, value, mode) for value in alphas for mode in modes)


def serve(
    model: LoadedModel,
    clip: ClipAnnotations,
    seen: Iterable[torch.Tensor],
    serving: Serving,
    max_trunk_tokens: int,
) -> Watched:
    """Narrates a clip.

    Args:
        model: trained by the method, on a CPU.
        clip: the ground truth.
        seen: visual tokens [16, D] of the frames at 0 s, 1 s …
        serving: how.
        max_trunk_tokens: what the engine's trunk may hold; the methods that decide themselves keep everything.
    """
    if serving.mode is None:
        return watch_online(model, clip, seen, online_settings(model, serving))
    return _narrate(model, clip, seen, stream_settings(serving, max_trunk_tokens))


def online_settings(model: LoadedModel, serving: Serving) -> OnlineSettings:
    """For methods that decide themselves."""
    is_head = serving.method == "head"
    ids = HEAD_IDS if is_head else eos_ids(model.template)
    return OnlineSettings(
        ids,
        is_head,
        serving.value,
        max_caption_tokens=DEFAULT_STREAM.max_caption_tokens,
        repetition_penalty=DEFAULT_STREAM.repetition_penalty,
    )


def stream_settings(serving: Serving, max_trunk_tokens: int) -> StreamSettings:
    """For methods that the engine serves."""
    assert serving.mode is not None, "the engine has no other way to decide"
    recent = serving.method == "recent"
    return replace(
        DEFAULT_STREAM,
        mode=serving.mode,
        gate=GateSettings(serving.value),
        terminal_captions=serving.method not in HIDES_CAPTIONS,
        max_trunk_tokens=max_trunk_tokens,
        memory=Recent(RECENT_FRAMES) if recent else None,
        positions=PositionPolicy.GAPS if recent else DEFAULT_STREAM.positions,
        max_channels=0,
        max_open_questions=0,
    )


def _narrate(
    model: LoadedModel, clip: ClipAnnotations, seen: Iterable[torch.Tensor], settings: StreamSettings
) -> Watched:
    num_pages = settings.max_rows // EngineSettings().page_size + 2
    engine = Engine.of(model, EngineSettings(num_pages=num_pages))
    engine.open_stream(STREAM, settings)
    said, num_frames = [], 0
    for second, tokens_VD in enumerate(seen):
        num_frames += 1
        engine.submit_frame(STREAM, EncodedFrame(FrameNumber(second + 1), second * NS_PER_S, tokens_VD))
        for event in engine.run_until_idle():
            if not isinstance(event, Decision) or event.ending is Ending.DEGRADED:
                continue
            if event.action is Action.SPEAK:
                said.append(Said(second, event.text))
    return Watched(clip=clip, num_frames=num_frames, busy_s=0.0, said=tuple(said))
