"""The engine: many streams, one network, one pass at a time.

    step() = plan -> forward -> judge and commit

The plan collects the chunks that streams want (frames to take in, captions to verify, questions, next tokens), one forward
pass computes them all, and the streams' coroutines judge the scores and commit what follows. No asyncio, no sockets: one
thread owns an engine.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Self

import torch

from livestar.core.decision import Event, StreamFailed
from livestar.core.errors import CapacityExceeded, InvalidInput, NotFound
from livestar.core.frame import MAX_NUMBER, MAX_PTS_NS, EncodedFrame
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine.channel import ChannelKind
from livestar.engine.gate import GateSettings
from livestar.engine.reference_decoding import Revise
from livestar.engine.runner import Runner
from livestar.engine.settings import StreamSettings
from livestar.engine.snapshot import StreamChange, StreamSnapshot
from livestar.engine.snapshot_check import SnapshotCheck
from livestar.engine.state import check_settings
from livestar.engine.stream import Stream
from livestar.kv import Chunk, PagePool, Score, Trunk
from livestar.memory import Ledger
from livestar.model import ChatTemplate, LiveStarModel, LoadedModel, Tokenizer


@dataclass(frozen=True)
class Pass:
    """A forward pass that is done.

    Attributes:
        num_streams: streams that it served.
        chunks: what was computed.
        seconds: how long it took.
    """

    num_streams: int
    chunks: Sequence[Chunk]
    seconds: float


@dataclass(frozen=True)
class EngineSettings:
    """Settings of an engine.

    Attributes:
        num_pages: pages of the KV pool; they bound memory and the number of streams (see `Engine.pages_for`).
        page_size: token rows a page.
        max_batch_tokens: rows of one pass over several streams. What one stream wants is never split between passes, so a
            pass for a single stream may be larger.
        max_prefill_tokens: trunk rows of one stream in one pass.
    """

    num_pages: int = 4096
    page_size: int = 16
    max_batch_tokens: int = 8192
    max_prefill_tokens: int = 2048


class Engine:
    """Watches streams. See the module.

    Args:
        model: the network, in eval mode; its device and dtype are used.
        tokenizer: of the same checkpoint.
        template: of the same checkpoint.
        settings: sizes.

    Attributes:
        on_pass: told of each pass, on the thread that steps; for metrics.
    """

    def __init__(
        self,
        model: LiveStarModel,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        settings: EngineSettings = EngineSettings(),
    ) -> None:
        language = model.config.llm_config
        self.settings = settings
        self.pool = PagePool(
            num_layers=language.num_hidden_layers,
            num_kv_heads=language.num_key_value_heads,
            head_dim=language.hidden_size // language.num_attention_heads,
            num_pages=settings.num_pages,
            page_size=settings.page_size,
            dtype=model.dtype,
            device=model.device,
        )
        self.runner = Runner(model, self.pool)
        self.on_pass: Callable[[Pass], None] | None = None
        self._language = language
        self._tokenizer = tokenizer
        self._template = template
        self._check_snapshot = SnapshotCheck(language, tokenizer, template)
        self._streams: dict[StreamId, Stream] = {}
        self._turn: deque[StreamId] = deque()
        self._events: list[Event] = []

    @classmethod
    def of(cls, model: LoadedModel, settings: EngineSettings = EngineSettings()) -> Self:
        """An engine over a loaded checkpoint."""
        return cls(model.network, model.tokenizer, model.template, settings)

    def open_stream(
        self,
        stream: StreamId,
        settings: StreamSettings = StreamSettings(),  # noqa: B008 - frozen
        *,
        revise: Revise | None = None,
    ) -> None:
        """Opens a stream; the pages that it may need at worst are set aside.

        Raises:
            InvalidInput: the id is taken, or the settings do not fit the network.
            CapacityExceeded: the pool cannot hold another stream of this size.
        """
        if stream in self._streams:
            raise InvalidInput(f"the stream '{stream}' is open already: choose another id")
        check_settings(settings, self._template, max_positions=self._language.max_position_embeddings)
        if not self.can_open(settings):
            raise CapacityExceeded(
                f"this engine has {self.num_uncommitted_pages} of {self.pool.num_pages} KV pages left and the stream may need "
                f"{self.pages_for(settings)}: close a stream, lower its max_trunk_tokens or give the engine more pages"
            )
        trunk = Trunk(
            self.pool,
            policy=settings.positions,
            rope_theta=self._language.rope_theta,
            max_positions=self._language.max_position_embeddings,
        )
        self._streams[stream] = Stream(
            stream,
            settings,
            trunk=trunk,
            tokenizer=self._tokenizer,
            template=self._template,
            emit=self._events.append,
            max_prefill_tokens=self.settings.max_prefill_tokens,
            revise=revise,
        )
        self._turn.append(stream)

    @property
    def num_uncommitted_pages(self) -> int:
        """Pages that no open stream may ever need."""
        committed = sum(self.pages_for(stream.state.settings) for stream in self._streams.values())
        return self.pool.num_pages - committed

    def can_open(self, settings: StreamSettings) -> bool:
        """Whether `open_stream` would find pages: every open stream can always use its worst case."""
        return self.pages_for(settings) <= self.num_uncommitted_pages

    def pages_for(self, settings: StreamSettings) -> int:
        """Pages that a stream of these settings uses at worst."""
        return -(-settings.max_rows // self.settings.page_size)

    def close_stream(self, stream: StreamId) -> None:
        """Closes a stream and returns its pages; open questions are reported as cancelled by the next `step`."""
        self.stream(stream).close()
        del self._streams[stream]
        self._turn.remove(stream)

    def snapshot(self, stream: StreamId) -> StreamSnapshot:
        """The stream's memory as a value, from which any engine with the same checkpoint can go on.

        Taken between frames: after the step that decides a frame and before the next `step`. What is not in it is given again:
        see `StreamSnapshot`.

        Raises:
            NotFound: no such stream is open.
            FailedPrecondition: a frame is being decided, its caption included.
        """
        return self.stream(stream).snapshot()

    def can_snapshot(self, stream: StreamId) -> bool:
        """Whether `snapshot` would give one now."""
        return self.stream(stream).is_between_frames

    def take_change(self, stream: StreamId) -> StreamChange | None:
        """What changed since the last call, for a durable copy; None when nothing did, or while a frame is being decided.

        Called after each `step` for the streams that its events name, it gives one change a decided frame, and that change
        covers every event of the stream so far. Called less often, it gives the same in fewer pieces. The first change leads
        from `StreamSnapshot(stream, settings)`; after `restore`, from the snapshot that was restored.

        Raises:
            NotFound: no such stream is open.
        """
        return self.stream(stream).take_change()

    def restore(self, snapshot: StreamSnapshot, *, revise: Revise | None = None) -> None:
        """Opens a stream where its snapshot left it. `step` rebuilds its cache by one prefill, beside other streams' work.

        Decisions go on as if nothing had happened, if nothing had been forgotten or the stream's positions are RECOMPUTED.
        Else the cache now holds a clean recompute of what is remembered, where the old one had rows that could see what is gone.

        Raises:
            InvalidInput: the id is taken, or a field of the snapshot cannot be right (it is named).
            CapacityExceeded: the pool cannot hold another stream of this size.
        """
        self._check_snapshot(snapshot)
        self.open_stream(snapshot.stream, snapshot.settings, revise=revise)
        self.stream(snapshot.stream).restore(snapshot)

    def coming_ledger(self, stream: StreamId) -> Ledger:
        """The ledger for which the memory's plan is wanted next: the trunk, and the rows that the next frame may add.

        If no frame waits, the next one is taken to follow the last by number. A plan for it that is made elsewhere comes back
        by `PlannedElsewhere.offer(ledger.version, plan)`.

        Raises:
            NotFound: no such stream is open.
            FailedPrecondition: a frame is being decided.
        """
        return self.stream(stream).coming_ledger()

    def stream(self, stream: StreamId) -> Stream:
        """The stream, for inspection.

        Raises:
            NotFound: no such stream is open.
        """
        if stream not in self._streams:
            raise NotFound(f"there is no stream '{stream}' here: open it first")
        return self._streams[stream]

    def can_accept_frame(self, stream: StreamId) -> bool:
        """Whether `submit_frame` would not drop a waiting frame."""
        watched = self.stream(stream)
        return len(watched.inbox) < watched.state.settings.max_pending_frames

    def submit_frame(self, stream: StreamId, frame: EncodedFrame[torch.Tensor]) -> None:
        """Hands a frame to its stream; never blocks. A full inbox drops its oldest frame and reports `FrameDropped`.

        Raises:
            NotFound: no such stream is open.
            InvalidInput: the visual tokens have another shape or are not finite, or the frame is not newer than the last.
        """
        watched = self.stream(stream)
        expected = (16, self._language.hidden_size)
        if tuple(frame.visual_tokens.shape) != expected:
            raise InvalidInput(
                f"visual tokens are {list(expected)}, not {list(frame.visual_tokens.shape)}: encode the frame with this model"
            )
        if not bool(torch.isfinite(frame.visual_tokens).all()):
            raise InvalidInput(
                f"the visual tokens of frame {frame.number} are not finite: encode the frame again"
            )
        if not 1 <= frame.number <= MAX_NUMBER or abs(frame.pts_ns) > MAX_PTS_NS:
            raise InvalidInput(
                f"frame number {frame.number} or its time is out of range: count frames from 1"
            )
        # A copy: a caller may reuse its buffer, and a slice would keep its whole batch alive for as long as the frame is kept.
        watched.submit(replace(frame, visual_tokens=frame.visual_tokens.detach().clone()))

    def withdraw_frames(self, stream: StreamId) -> tuple[FrameNumber, ...]:
        """Takes back the frames that wait, unreported; the one that is being decided goes on.

        For whoever hands the stream over: the next engine gets them. Here, later frames still have to be newer than they.

        Raises:
            NotFound: no such stream is open.
        """
        return self.stream(stream).withdraw()

    def ask(self, stream: StreamId, text: str, *, chain: str = "default") -> QuestionId:
        """Asks a question about what has been seen; it is answered from the same trunk, at once, as an `Answer` event.

        Args:
            stream: the stream.
            text: the question; untrusted, it can never become a control or image token.
            chain: follow-up questions of the same chain see its earlier turns.

        Raises:
            NotFound: no such stream is open.
            InvalidInput: the question is empty or too long.
            CapacityExceeded: too many questions are open.
        """
        return self.stream(stream).ask(text, chain)

    def stand(
        self,
        stream: StreamId,
        text: str,
        *,
        channel: str,
        gate: GateSettings | None = None,
    ) -> ChannelId:
        """Opens a standing question: answered at once, and again whenever its answer stops holding.

        It has its own held answer and its own gate (None: `StreamSettings.question_gate`), and shares the trunk. Events carry
        the channel's id.

        Raises:
            NotFound, InvalidInput, CapacityExceeded: as `ask`.
            FailedPrecondition: the stream is in mode 'reference'.
        """
        own = gate or self.stream(stream).state.settings.question_gate
        return self._add_channel(stream, ChannelKind.STANDING, text, channel, own)

    def probe(self, stream: StreamId, text: str, *, channel: str) -> ChannelId:
        """Measures how likely a text is at every frame (temporal grounding): one decision with rule PROBE a frame.

        Raises:
            NotFound, InvalidInput, CapacityExceeded, FailedPrecondition: as `stand`.
        """
        return self._add_channel(
            stream, ChannelKind.PROBE, text, channel, self.stream(stream).state.settings.gate
        )

    def remove_channel(self, stream: StreamId, channel: ChannelId) -> None:
        """Closes a standing question or a probe.

        Raises:
            NotFound: there is no such stream or channel.
            InvalidInput: it is the narration.
        """
        self.stream(stream).remove_channel(channel)

    def cancel(self, stream: StreamId, source: ChannelId | QuestionId) -> None:
        """Stops the caption or answer that is being generated, at its next token; a waiting question is taken out.

        Raises:
            NotFound: there is no such stream, channel or open question.
        """
        self.stream(stream).cancel(source)

    @property
    def has_work(self) -> bool:
        """Whether `step` would do something."""
        return any(stream.has_work for stream in self._streams.values())

    def step(self) -> list[Event]:
        """One pass over whatever is ready; returns what happened, in order. Nothing to do: returns what was pending.

        An error of one stream closes that stream (`StreamFailed`) and leaves the others alone. An error of the pass itself (out
        of memory, a lost device) is raised; nothing has changed then, and the pass may be run again.
        """
        planned = self._plan()
        if planned:
            scores = self._forward(planned)
            for name, wanted in planned:
                mine, scores = scores[: len(wanted)], scores[len(wanted) :]
                with self._isolated(name):
                    self._streams[name].resume(mine)
        events = self._events[:]
        self._events.clear()
        return events

    def _forward(self, planned: list[tuple[StreamId, list[Chunk]]]) -> list[Score]:
        chunks = [chunk for _, wanted in planned for chunk in wanted]
        started_s = time.perf_counter()
        scores = self.runner.forward(chunks)
        if self.on_pass:
            self.on_pass(Pass(len(planned), chunks, time.perf_counter() - started_s))
        return scores

    def run_until_idle(self) -> Iterator[Event]:
        """Steps until nothing is left to do, and yields events as they come."""
        yield from self.step()
        while self.has_work:
            yield from self.step()

    def check_integrity(self) -> None:
        """Checks the cache of every stream, and that no page is lost or shared.

        Raises:
            AssertionError: one of our own invariants is broken.
        """
        trunks = [stream.state.trunk for stream in self._streams.values()]
        for trunk in trunks:
            trunk.check_integrity()
        self.pool.check_integrity([page for trunk in trunks for page in trunk.allocator.pages])

    def _plan(self) -> list[tuple[StreamId, list[Chunk]]]:
        """Streams take turns; a pass takes whole streams while they fit its budget, and at least one."""
        planned: list[tuple[StreamId, list[Chunk]]] = []
        rows = 0
        for name in list(self._turn):
            chunks: list[Chunk] = []
            with self._isolated(name):
                chunks = self._streams[name].chunks()
            size = sum(map(len, chunks))
            if planned and rows + size > self.settings.max_batch_tokens:
                break
            if chunks:
                planned.append((name, chunks))
                rows += size
        # Those that were served go to the end of the line.
        for name, _ in planned:
            self._turn.remove(name)
            self._turn.append(name)
        return planned

    @contextmanager
    def _isolated(self, name: StreamId) -> Iterator[None]:
        """An error within is this stream's end, and nobody else's."""
        try:
            yield
        except Exception as error:  # the boundary between streams: whatever it is, the others go on
            self._events.append(StreamFailed(name, error))
            self.close_stream(name)

    def _add_channel(
        self, stream: StreamId, kind: ChannelKind, text: str, name: str, gate: GateSettings
    ) -> ChannelId:
        watched, channel = self.stream(stream), ChannelId(name)
        watched.add_channel(channel, kind, text, gate)
        return channel
