"""Watches a clip with known ground truth, and keeps everything that was said.

    watch_clip(model, annotate(clip, 1, 224), (clip.render(t, 224) for t in range(60)), WatchSettings())

Standing questions and grounding queries are open from the start, beside the narration. Questions of chains are asked when
their time has come, after the last frame that had been seen by then.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from time import perf_counter

import numpy as np
import torch

from livestar.core.decision import Action, Answer, Decision, Ending
from livestar.core.errors import InvalidInput
from livestar.core.frame import EncodedFrame
from livestar.core.ids import ChannelId, FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings
from livestar.engine.channel import NARRATION
from livestar.engine.gate import NS_PER_S
from livestar.evaluation.memory_choice import MemoryChoice
from livestar.evaluation.synth_annotations import ClipAnnotations, TurnRow
from livestar.evaluation.synthstar_forced import force
from livestar.evaluation.synthstar_watched import Answered, Forced, Said, Task, Watched
from livestar.model import LoadedModel

STREAM = StreamId("eval")
DEFAULT_STREAM = StreamSettings(max_caption_tokens=64, max_question_tokens=128)
"""SynthStar's sentences are short."""


@dataclass(frozen=True)
class WatchSettings:
    """How clips are watched.

    Attributes:
        stream: how the engine watches; room for channels and questions is added as a clip needs it.
        question_gate: gate of the standing questions; the narration's when None.
        tasks: what is done and scored. The narration always runs, for everything else hangs on it. Standing questions and
            grounding need mode `branch`; in mode `reference` they are left out.
        query_below: the NLL below which a grounding query holds, nats per token; see `grounding.find_query`.
        memory: what forgets, within `stream.max_trunk_tokens`.
    """

    stream: StreamSettings = DEFAULT_STREAM
    question_gate: GateSettings | None = None
    tasks: frozenset[Task] = frozenset(Task)
    memory: MemoryChoice = MemoryChoice.TOKEN_BUDGET
    query_below: float | None = None

    def does(self, task: Task) -> bool:
        """Whether a task is wanted and possible."""
        possible = task not in (Task.FDQ, Task.OTG) or self.stream.mode is Mode.BRANCH
        return possible and task in self.tasks

    def summary(self) -> dict[str, object]:
        """The settings that a result depends on, as JSON has them; what keeps everything has no budget."""
        keeps = self.memory is MemoryChoice.KEEP_EVERYTHING
        return {
            "alpha": self.stream.gate.alpha,
            "question_alpha": (self.question_gate or self.stream.gate).alpha,
            "query_below": self.query_below,
            "mode": str(self.stream.mode),
            "memory": str(self.memory),
            "max_trunk_tokens": None if keeps else self.stream.max_trunk_tokens,
        }


@dataclass(frozen=True, eq=False)
class SeenFrame:
    """The visual tokens [16, D] of a frame, and the seconds that they took."""

    tokens: torch.Tensor
    busy_s: float


def see(model: LoadedModel, frames: Iterable[np.ndarray]) -> Iterator[SeenFrame]:
    """Encodes frames, uint8 [H, W, 3], one by one as a live stream would; a list of them can be watched many times."""
    for rgb in frames:
        began_s = perf_counter()
        tokens = model.see([rgb])[0]
        yield SeenFrame(tokens, perf_counter() - began_s)


def watch_clip(
    model: LoadedModel, clip: ClipAnnotations, frames: Iterable[np.ndarray], settings: WatchSettings
) -> Watched:
    """Watches a clip as a live stream.

    Args:
        model: what watches.
        clip: the ground truth.
        frames: uint8 [H, W, 3], those at 0 s, 1 s, 2 s …
        settings: how to watch.

    Raises:
        InvalidInput: the settings do not fit the checkpoint.
    """
    return watch_seen(model, clip, see(model, frames), settings)


def watch_seen(
    model: LoadedModel, clip: ClipAnnotations, frames: Iterable[SeenFrame], settings: WatchSettings
) -> Watched:
    """`watch_clip` over frames that are encoded already."""
    return watch_variants(model, clip, list(frames), (settings,))[0]


def watch_variants(
    model: LoadedModel, clip: ClipAnnotations, seen: Sequence[SeenFrame], settings: Sequence[WatchSettings]
) -> tuple[Watched, ...]:
    """Watches the same encoded frames once with each of the settings; teacher forcing is shared where it is the same."""
    tokens = [frame.tokens for frame in seen]
    forced: dict[tuple[object, ...], tuple[Forced, ...]] = {}
    watched = []
    for each in settings:
        got = _Watcher(model, clip, each, len(seen)).watch(seen)
        if each.does(Task.RNG):
            stream = each.stream
            key = (stream.max_trunk_tokens, stream.task_prompt, stream.frame_index_limit)
            if key not in forced:
                forced[key] = force(model, clip, tokens, stream)
            got = replace(got, forced=forced[key])
        watched.append(got)
    return tuple(watched)


def check_kept(engine: Engine, settings: WatchSettings, name: str, num_frames: int) -> None:
    """Passes unless a memory that was to keep everything had to forget: then it would bear a wrong name.

    Raises:
        InvalidInput: the network has not enough positions for the whole clip.
    """
    if settings.memory is not MemoryChoice.KEEP_EVERYTHING:
        return
    if (kept := len(engine.stream(STREAM).ledger().frames)) < num_frames:
        raise InvalidInput(
            f"{name} has {num_frames} frames and the checkpoint's positions hold {kept}: "
            "watch shorter clips with 'keep-everything'"
        )


@dataclass(frozen=True)
class _Ask:
    task: Task
    chain: str
    turn: TurnRow


class _Watcher:
    """One clip in an engine of its own."""

    def __init__(
        self, model: LoadedModel, clip: ClipAnnotations, settings: WatchSettings, num_frames: int
    ) -> None:
        self._clip, self._settings = clip, settings
        self._rounds = deque(_rounds(clip, settings))
        standing = clip.fdq if settings.does(Task.FDQ) else ()
        queries = clip.otg if settings.does(Task.OTG) else ()
        stream = replace(
            settings.memory.fit(settings.stream, model, num_frames),
            max_channels=len(standing) + len(queries),
            max_open_questions=max((len(asks) for _, asks in self._rounds), default=0),
        )
        page_size = EngineSettings().page_size
        self._engine = Engine.of(model, EngineSettings(num_pages=stream.max_rows // page_size + 2))
        self._engine.open_stream(STREAM, stream)
        self._standing = [
            self._engine.stand(STREAM, row.question, channel=f"fdq-{k}", gate=settings.question_gate)
            for k, row in enumerate(standing)
        ]
        self._queries = [
            self._engine.probe(STREAM, row.query, channel=f"otg-{k}") for k, row in enumerate(queries)
        ]
        self._said: list[Said] = []
        self._decisions: dict[ChannelId, list[Decision]] = {c: [] for c in self._standing + self._queries}
        self._answered: dict[Task, list[Answered]] = {Task.COQ: [], Task.MIQ: []}

    def watch(self, seen: Sequence[SeenFrame]) -> Watched:
        busy_s = 0.0
        for second, frame in enumerate(seen):
            began_s = perf_counter()
            self._take(second, frame.tokens)
            self._ask_before(second + 1)
            busy_s += frame.busy_s + perf_counter() - began_s
        self._ask_before(math.inf)
        check_kept(self._engine, self._settings, self._clip.video_id, len(seen))
        return Watched(
            clip=self._clip,
            num_frames=len(seen),
            busy_s=busy_s,
            said=tuple(self._said) if self._settings.does(Task.RNG) else None,
            held=tuple(tuple(d.text for d in self._decisions[channel]) for channel in self._standing),
            query_below=self._settings.query_below,
            query_nlls=tuple(tuple(d.nll for d in self._decisions[channel]) for channel in self._queries),
            coq=tuple(self._answered[Task.COQ]),
            miq=tuple(self._answered[Task.MIQ]),
        )

    def _take(self, second: int, tokens: torch.Tensor) -> None:
        """Watches one frame, and keeps what every channel says or holds after it."""
        self._engine.submit_frame(STREAM, EncodedFrame(FrameNumber(second + 1), second * NS_PER_S, tokens))
        last: dict[ChannelId, Decision] = {}
        for event in self._engine.run_until_idle():
            if isinstance(event, Decision):
                last[event.channel] = event
        narration = last[NARRATION]
        if narration.action is Action.SPEAK and narration.ending is not Ending.DEGRADED:
            self._said.append(Said(second, narration.text))
        for channel, decisions in self._decisions.items():
            decisions.append(last[channel])

    def _ask_before(self, time_s: float) -> None:
        """Asks what is due before a time; questions of the same moment side by side."""
        while self._rounds and self._rounds[0][0] < time_s:
            _, asks = self._rounds.popleft()
            open_asks = {self._engine.ask(STREAM, ask.turn.question, chain=ask.chain): ask for ask in asks}
            for event in self._engine.run_until_idle():
                if isinstance(event, Answer):
                    ask = open_asks[event.question]
                    self._answered[ask.task].append(Answered(ask.turn, event.text))


def _rounds(clip: ClipAnnotations, settings: WatchSettings) -> list[tuple[float, list[_Ask]]]:
    """All questions by the moment at which they are asked, in order."""
    chains = [(Task.COQ, f"coq-{k}", chain) for k, chain in enumerate(clip.coq)]
    for k, parallel in enumerate(clip.miq):
        chains += [(Task.MIQ, f"miq-{k}-{j}", chain) for j, chain in enumerate(parallel)]
    asks = [_Ask(task, name, turn) for task, name, chain in chains if settings.does(task) for turn in chain]
    asks.sort(key=lambda ask: ask.turn.time_s)
    return [(time_s, list(group)) for time_s, group in groupby(asks, key=lambda ask: ask.turn.time_s)]
