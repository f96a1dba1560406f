"""Watches a clip with known ground truth, and keeps everything that was said."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np

from livestar.core.decision import Answer, Decision, Event
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings
from livestar.engine.channel import NARRATION
from livestar.engine.gate import NS_PER_S
from livestar.evaluation.synth_annotations import ClipAnnotations, TurnRow
from livestar.model import LoadedModel

STREAM = StreamId("eval")


@dataclass(frozen=True)
class Answered:
    """A question of a chain, the true answer and the given one."""

    turn: TurnRow
    given: str


@dataclass
class Watched:
    """What a model said over one clip, one frame a second.

    Attributes:
        clip: the ground truth.
        narration: a decision a frame.
        standing: per standing question (its index) a decision a frame.
        probes: per grounding query (its index) a decision a frame.
        coq: answers to chains asked alone.
        miq: answers to chains asked side by side.
    """

    clip: ClipAnnotations
    narration: list[Decision] = field(default_factory=list)
    standing: dict[int, list[Decision]] = field(default_factory=lambda: defaultdict(list))
    probes: dict[int, list[Decision]] = field(default_factory=lambda: defaultdict(list))
    coq: list[Answered] = field(default_factory=list)
    miq: list[Answered] = field(default_factory=list)


def watch_clip(
    model: LoadedModel,
    clip: ClipAnnotations,
    frames: Iterable[np.ndarray],
    settings: StreamSettings,
    *,
    question_gate: GateSettings | None = None,
) -> Watched:
    """Watches a clip as a live stream, with its standing questions open, its probes running and its questions asked in time.

    Args:
        model: what watches.
        clip: the ground truth.
        frames: uint8 [H, W, 3], the frames at 0 s, 1 s, 2 s …
        settings: how to watch; channels are added as the clip needs them. Questions need mode `branch`.
        question_gate: gate of the standing questions; the narration's when None.
    """
    return _Watcher(model, clip, settings, question_gate).run(frames)


class _Watcher:
    def __init__(
        self, model: LoadedModel, clip: ClipAnnotations, settings: StreamSettings, gate: GateSettings | None
    ) -> None:
        page_size = EngineSettings().page_size
        self._model = model
        self._engine = Engine.of(model, EngineSettings(num_pages=settings.max_rows // page_size + 2))
        self._engine.open_stream(STREAM, settings)
        self._watched = Watched(clip)
        self._channels: dict[str, tuple[dict[int, list[Decision]], int]] = {}
        self._asks: list[tuple[float, str, TurnRow, list[Answered]]] = []
        if settings.mode is Mode.BRANCH:
            self._open_channels(gate)
            self._plan_questions()

    def run(self, frames: Iterable[np.ndarray]) -> Watched:
        for second, rgb in enumerate(frames):
            tokens = self._model.see([rgb])[0]
            self._engine.submit_frame(
                STREAM, EncodedFrame(FrameNumber(second + 1), second * NS_PER_S, tokens)
            )
            self._take(self._engine.run_until_idle())
            while self._asks and self._asks[0][0] < second + 1:
                self._ask(*self._asks.pop(0)[1:])
        return self._watched

    def _open_channels(self, gate: GateSettings | None) -> None:
        for index, row in enumerate(self._watched.clip.fdq):
            name = self._engine.stand(STREAM, row.question, channel=f"fdq-{index}", gate=gate)
            self._channels[name] = (self._watched.standing, index)
        for index, query in enumerate(self._watched.clip.otg):
            name = self._engine.probe(STREAM, query.query, channel=f"otg-{index}")
            self._channels[name] = (self._watched.probes, index)

    def _plan_questions(self) -> None:
        clip, watched = self._watched.clip, self._watched
        chains = [(f"coq-{k}", chain, watched.coq) for k, chain in enumerate(clip.coq)]
        for k, round_ in enumerate(clip.miq):
            chains += [(f"miq-{k}-{j}", chain, watched.miq) for j, chain in enumerate(round_)]
        self._asks = sorted(
            ((turn.time_s, name, turn, into) for name, chain, into in chains for turn in chain),
            key=lambda ask: ask[0],
        )

    def _ask(self, chain: str, turn: TurnRow, into: list[Answered]) -> None:
        question = self._engine.ask(STREAM, turn.question, chain=chain)
        for event in self._engine.run_until_idle():
            if isinstance(event, Answer) and event.question == question:
                into.append(Answered(turn, event.text))

    def _take(self, events: Iterable[Event]) -> None:
        for event in events:
            if not isinstance(event, Decision):
                continue
            if event.channel == NARRATION:
                self._watched.narration.append(event)
            else:
                by_index, index = self._channels[event.channel]
                by_index[index].append(event)


def channels_needed(clip: ClipAnnotations) -> int:
    """Channels beside the narration that `watch_clip` opens."""
    return len(clip.fdq) + len(clip.otg)


def by_family(watched: Iterable[Watched]) -> Mapping[str, list[Watched]]:
    """Groups clips by their family, in order of first appearance."""
    groups: dict[str, list[Watched]] = defaultdict(list)
    for each in watched:
        groups[each.clip.family].append(each)
    return groups
