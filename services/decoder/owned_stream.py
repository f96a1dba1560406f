"""One stream that this process owns: from its lease to its last commit.

tokens:{stream} -> in order -> engine -> journal -> memory. Each arrow is bounded: no more frames are given to the engine than its
inbox holds, no more entries are read than may be under way, and what is not committed keeps ingest's window closed.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from google.protobuf.message import DecodeError

from livestar.api.v1 import common_pb2, events_pb2, memory_pb2
from livestar.bus import FINAL, START, Entry, InOrder, LeaseKeeper, Missing, keys
from livestar.core.backoff import Backoff
from livestar.core.decision import Answer, Decision, StreamFailed
from livestar.core.errors import (
    CapacityExceeded,
    DeadlineExceeded,
    InvalidInput,
    LeaseLost,
    LiveStarError,
    NotFound,
    NotOwner,
)
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, QuestionId, StreamId
from livestar.engine import Engine
from livestar.obs import TRACEPARENT, about
from livestar.rpc import retrying
from livestar.wire.tensors import tensor_of
from services.decoder.engine_thread import Outcome
from services.decoder.journal import FrameNote, Journal
from services.decoder.opening import Opening
from services.decoder.over import Over, Why
from services.decoder.publisher import Publisher
from services.decoder.question import Question
from services.decoder.shared import Shared

log = logging.getLogger("livestar.decoder")

MAX_UNCOMMITTED = 4096
"""Events that may wait for the memory before no more frames are given to the engine."""

LOOK_S = 0.1
"""How often a stream with a hole looks at the clock."""

SETTLE_S = 120.0
"""Most that frames under way may take when the stream is given up."""

MARK_S = 30.0
"""How long the registry is tried for when a stream is over."""

T = TypeVar("T")


class OwnedStream:
    """See the module. Belongs to one event loop; `run` is its whole life.

    Args:
        spec: what was asked for.
        keeper: its lease; entered and left here.
        shared: of the process.

    Attributes:
        id: name of the stream.
        spec: what was asked for.
        shared: of the process.
        keeper: its lease.
        cursor: the last entry of tokens:{stream} that was read.
        questions: those whose callers wait.
    """

    def __init__(self, spec: common_pb2.StreamSpec, keeper: LeaseKeeper, shared: Shared) -> None:
        self.id = StreamId(spec.stream_id)
        self.spec = spec
        self.shared = shared
        self.keeper = keeper
        self.cursor = START
        self.questions: dict[QuestionId, Question] = {}
        self._over: Over | None = None
        self._opening: Opening | None = None
        self._publisher: Publisher | None = None
        self._order: InOrder[tuple[events_pb2.VisualTokensReady, str | None]] | None = None
        self._in_engine = False
        self._settled = False
        self._kick = asyncio.Event()
        self._closed = asyncio.Event()
        self._told_state: common_pb2.StreamState.ValueType | None = None
        self._num_plans = (0, 0)
        self._arrived_at_s = time.monotonic()

    async def run(self) -> Why:
        """Watches until the stream is over, released or lost; the lease is given up at the end, whatever happened."""
        with about(stream=self.id):
            try:
                async with self.keeper:
                    return await self._until_lost()
            finally:
                self._closed.set()

    # What others see.

    @property
    def is_open(self) -> bool:
        """Whether it is being watched."""
        return self._publisher is not None and self._over is None

    @property
    def opening(self) -> Opening:
        """How it was opened; open streams only."""
        assert self._opening is not None, "the stream is not open yet"
        return self._opening

    @property
    def journal(self) -> Journal:
        """What it tells the memory; open streams only."""
        return self.opening.journal

    @property
    def wants_entries(self) -> bool:
        """Whether more entries of the bus may be read."""
        return self.is_open and self.num_out_of_order < 4 * self.spec.max_in_flight

    @property
    def num_out_of_order(self) -> int:
        """Frames that were read and not given to the engine."""
        return self._order.num_waiting if self._order else 0

    @property
    def num_in_flight(self) -> int:
        """Frames that the engine has and has not decided."""
        return self.journal.num_in_flight if self._opening else 0

    @property
    def num_uncommitted(self) -> int:
        """Events that wait for the memory."""
        return self.journal.num_uncommitted if self._opening else 0

    def behind_s(self, now_ns: int) -> float:
        """Age of its oldest undecided frame; 0 when there is none."""
        oldest_ns = self.journal.oldest_captured_at_ns if self._opening else None
        return max(0.0, (now_ns - oldest_ns) / 1e9) if oldest_ns else 0.0

    async def until_open(self, timeout_s: float) -> None:
        """Returns when it is being watched.

        Raises:
            NotOwner: it is being given up.
            DeadlineExceeded: it takes longer.
        """
        until_s = time.monotonic() + timeout_s
        while not self.is_open:
            if self._over or self._closed.is_set():
                raise NotOwner(f"stream '{self.id}' is being given up here: find its new owner and ask there")
            if time.monotonic() > until_s:
                raise DeadlineExceeded(f"stream '{self.id}' is still being opened: try again")
            await asyncio.sleep(0.02)

    # What it is told.

    def news(self) -> None:
        """The journal may hold something new."""
        if self._publisher:
            self._publisher.news()

    def arrived(self, entry: Entry) -> None:
        """Takes an entry of tokens:{stream}."""
        self.cursor = entry.id
        self._arrived_at_s = time.monotonic()
        if self._order is None or self._over:
            return
        message = _parsed(entry)
        if message is None or message.stream_id != self.id:
            self.shared.metrics.refused.labels("unreadable").inc()
            log.warning("an entry is none of ours", extra={"entry": entry.id})
        elif message.HasField("end") and message.sequence == self.journal.head.decided_sequence:
            # Written by an owner who could not tell the registry any more.
            self.give_up(Over.by_source(message.sequence, message.end))
        else:
            item = (message, entry.headers.get(TRACEPARENT))
            if not self._order.put(
                message.sequence, item, dropped_before=message.dropped_before, epoch=message.epoch
            ):
                self.shared.metrics.refused.labels("again").inc()
            self._kick.set()

    def take(self, outcome: Outcome) -> None:
        """Takes what the engine did; it is on its way to the memory when this returns."""
        if self._opening is None:
            return
        for told in self.journal.take(outcome):
            number = QuestionId(told.text_piece.question_id or told.answer.question_id)
            if question := self.questions.get(number):
                question.tell(told)
                if question.answered:
                    del self.questions[number]
        for event in outcome.events:
            if isinstance(event, Decision):
                self.shared.metrics.decisions.labels(event.action, event.rule).inc()
            elif isinstance(event, Answer):
                self.shared.metrics.answers.labels(event.ending).inc()
            elif isinstance(event, StreamFailed):
                self._in_engine = False
                log.error("the engine gave the stream up", exc_info=event.error)
                self.give_up(Over.by_error(event.error))
        self._count_plans()
        self.news()
        self._kick.set()

    def listed(self, info: common_pb2.StreamInfo) -> None:
        """The registry has it, not finished; subscribers are told of changes of its state."""
        if not self.is_open:
            return
        if info.state != self._told_state:
            self._told_state = info.state
            self.journal.state_changed(info.state, info.reason)
            self.news()
        if info.state == common_pb2.STREAM_STATE_STOPPING and self._is_silent:
            self.give_up(Over(Why.ENDED, common_pb2.STREAM_STATE_STOPPED))

    def not_listed(self, info: common_pb2.StreamInfo | None) -> None:
        """The registry calls it finished, or (None) has it no more."""
        if info is None:
            self.give_up(Over(Why.DELETED))
        elif info.state in FINAL and self._is_silent:
            self.give_up(Over(Why.ENDED, info.state))

    def give_up(self, over: Over) -> None:
        """Stops watching; what is decided is still written. The first reason counts, with two exceptions.

        A stream of which frames wait to be decided may still be released: its next owner decides them, and sees its end. And
        it may still fail.
        """
        better = over.why is Why.FAILED or (over.why is Why.RELEASED and self._in_engine)
        if self._over is None or (better and not self._settled):
            self._over = over
            self._kick.set()

    async def release(self, timeout_s: float) -> tuple[int, int]:
        """Gives the stream up between two frames; returns the last settled frame and the last event.

        Raises:
            DeadlineExceeded: it takes longer; it is still being given up.
        """
        self.give_up(Over(Why.RELEASED))
        try:
            async with asyncio.timeout(timeout_s):
                await self._closed.wait()
        except TimeoutError:
            raise DeadlineExceeded(f"stream '{self.id}' is not released yet: look again") from None
        if self._opening is None:
            return 0, 0
        return self.journal.head.decided_sequence, self.journal.head.event_sequence

    # Its life.

    @property
    def _is_silent(self) -> bool:
        return time.monotonic() - self._arrived_at_s > self.shared.settings.end_s

    def _count_plans(self) -> None:
        planned, counter = self.opening.planned, self.shared.metrics.plans
        taken, own = planned.num_taken, planned.num_own
        counter.labels("memory").inc(taken - self._num_plans[0])
        counter.labels("here").inc(own - self._num_plans[1])
        self._num_plans = (taken, own)

    async def _until_lost(self) -> Why:
        living = asyncio.create_task(self._live())
        losing = asyncio.create_task(self.keeper.lost.wait())
        try:
            await asyncio.wait((living, losing), return_when=asyncio.FIRST_COMPLETED)
            if not living.done() or self.keeper.lost.is_set():
                return Why.LOST
            return living.result()
        except LeaseLost:
            self.keeper.lost.set()
            return Why.LOST
        except NotFound:
            return Why.DELETED
        finally:
            for task in (living, losing):
                task.cancel()
            await asyncio.gather(living, losing, return_exceptions=True)
            await self._leave_engine()
            self._abandon()

    async def _live(self) -> Why:
        over = await self._open()
        publisher = self._publisher = Publisher(self.journal, self.opening.planned, self.keeper, self.shared)
        if over:
            self.give_up(over)
        publisher.news()
        publishing = asyncio.create_task(publisher.run())
        watching = asyncio.create_task(self._watch(publisher))
        try:
            await asyncio.wait((publishing, watching), return_when=asyncio.FIRST_COMPLETED)
            return watching.result() if watching.done() else await _failure(publishing)
        finally:
            for task in (publishing, watching):
                task.cancel()
            await asyncio.gather(publishing, watching, return_exceptions=True)

    async def _open(self) -> Over | None:
        """Brings the stream into the engine. What is wrong with the stream itself is its end, and is returned."""
        lease = self.keeper.lease
        kept = await self._persistently(lambda: self.shared.memory.load(self.id, lease.epoch))
        try:
            self._opening = Opening.of(self.spec, lease, kept, self.shared)
            await self._enter_engine()
        except InvalidInput as error:
            if not (self._opening and self._opening.snapshot):
                return self._cannot_open(error, kept.head)
            # What was kept is damaged: better to watch on without it than not at all.
            self._opening = Opening.anew(self.spec, lease, kept.head, self.shared, problem=error)
            await self._enter_engine()
        head = self.journal.head
        patience_s = self.shared.settings.hole_s
        self._order = InOrder(after=head.decided_sequence, epoch=head.ingest_epoch, patience_s=patience_s)
        how = "restored" if self.opening.snapshot else "anew"
        self.shared.metrics.opened.labels(how).inc()
        log.info("watching", extra={"how": how, "epoch": lease.epoch, "after": head.decided_sequence})
        return None

    def _cannot_open(self, error: InvalidInput, head: memory_pb2.StreamHead) -> Over:
        """All that is left is to say so."""
        plain = common_pb2.StreamSpec(stream_id=self.id)
        self._opening = Opening.anew(plain, self.keeper.lease, head, self.shared)
        return Over.by_error(error)

    async def _enter_engine(self) -> None:
        await self.shared.engine.call(self.opening.enter, about=self.id)
        self._in_engine = True

    async def _leave_engine(self) -> None:
        """Takes the stream out of the engine; its last words have come when this returns."""
        if not self._in_engine:
            return
        self._in_engine = False
        with suppress(LiveStarError):
            await self.shared.engine.call(lambda engine: engine.close_stream(self.id))
            # The step behind the first call tells what closing cancelled, and the second call comes behind it.
            await self.shared.engine.call(lambda _: None)

    async def _watch(self, publisher: Publisher) -> Why:
        while self._over is None:
            await self._feed()
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), LOOK_S if self.num_out_of_order else None)
            self._kick.clear()
        if self._over.why is Why.DELETED:
            return self._over.why
        await self._settle()
        self._settled, over = True, self._over
        await self._leave_engine()
        self.journal.close()
        if over.state:
            over = await self._last_words(over)
        publisher.news()
        await publisher.flushed()
        if over.state:
            await self._mark(over)
        log.info("given up", extra={"why": str(over.why), "settled": self.journal.head.decided_sequence})
        return over.why

    async def _feed(self) -> None:
        """Gives the engine what is next, as far as there is room."""
        journal, notes = self.journal, list[FrameNote]()
        while self._has_room and self._order and (item := self._order.take()) is not None:
            if isinstance(item, Missing):
                dropped, lost = events_pb2.GAP_REASON_INGEST_DROPPED, events_pb2.GAP_REASON_LOST
                self._missing(item.first, item.last, dropped if item.announced else lost)
            elif item[0].HasField("end"):
                self.give_up(Over.by_source(item[0].sequence, item[0].end))
                break
            elif note := self._readable(*item):
                journal.frame_given(note)
                notes.append(note)
            else:
                self._missing(item[0].sequence, item[0].sequence, events_pb2.GAP_REASON_UNREADABLE)
        if notes:
            refused = await self.shared.engine.call(lambda e: _submit(e, self.id, notes), about=self.id)
            for sequence, error in refused:
                log.warning("frame %d is refused: %s", sequence, error)
                journal.frame_refused(sequence)
                self._missing(sequence, sequence, events_pb2.GAP_REASON_UNREADABLE)

    @property
    def _has_room(self) -> bool:
        journal = self.journal
        return journal.num_in_flight < self.spec.max_in_flight and journal.num_uncommitted < MAX_UNCOMMITTED

    def _readable(self, message: events_pb2.VisualTokensReady, traceparent: str | None) -> FrameNote | None:
        if not message.HasField("tokens"):
            return None
        if message.model_id != self.shared.model_id:
            log.error("a frame was encoded by %s: give vision %s", message.model_id, self.shared.model_id)
            return None
        return FrameNote(
            message.sequence,
            message.pts_ns,
            message.captured_at_ns,
            message.epoch,
            message.tokens,
            traceparent,
        )

    def _missing(self, first: int, last: int, reason: events_pb2.GapReason.ValueType) -> None:
        name = events_pb2.GapReason.Name(reason).removeprefix("GAP_REASON_").lower()
        self.shared.metrics.missing.labels(name).inc(last - first + 1)
        self.journal.missing(first, last, reason)
        self.news()

    async def _settle(self) -> None:
        """Returns when the engine has decided what it has; a stream that is released gives back what only waits."""
        started_s, withdrawn = time.monotonic(), False
        while self._in_engine:
            if self._over and self._over.why is Why.RELEASED and not withdrawn:
                withdrawn = True
                back = await self.shared.engine.call(lambda engine: engine.withdraw_frames(self.id))
                self.journal.frames_withdrawn(back)
            waited_s = time.monotonic() - started_s
            answering = self.journal.head.open_question_ids and waited_s < self.shared.settings.answer_s
            if not (self.journal.num_in_flight or answering):
                return
            if waited_s > SETTLE_S:
                raise DeadlineExceeded(f"the frames of stream '{self.id}' are not decided in {SETTLE_S:g} s")
            with suppress(TimeoutError):
                await asyncio.wait_for(self._kick.wait(), LOOK_S)
            self._kick.clear()

    async def _last_words(self, over: Over) -> Over:
        """Tells how the stream ended, in a state that the registry can go to."""
        state = over.state
        with suppress(NotFound):
            if state == common_pb2.STREAM_STATE_STOPPED:
                await self._persistently(lambda: self.shared.registry.stop(self.id))
            now = (await self._persistently(lambda: self.shared.registry.get(self.id))).state
            if now in FINAL:
                state = now
            elif now == common_pb2.STREAM_STATE_STOPPING and state == common_pb2.STREAM_STATE_ENDED:
                state = common_pb2.STREAM_STATE_STOPPED
        if over.error:
            self.journal.failed(over.error)
            self.shared.metrics.failures.labels(over.error.reason).inc()
        if over.sequence:
            self.journal.settle(over.sequence)
        self.journal.state_changed(state, over.reason)
        return Over(over.why, state, over.sequence, over.error)

    async def _mark(self, over: Over) -> None:
        """The registry says so, too; then nobody takes the stream again, and its tokens can go."""
        move = self.shared.registry.move
        try:
            await retrying(lambda: move(self.id, over.state, reason=over.reason), give_up_s=MARK_S)
            await self.shared.bus.delete(keys.tokens(self.id))
        except LiveStarError as error:
            log.warning("the registry cannot be told: %s", error)

    async def _persistently(self, call: Callable[[], Awaitable[T]]) -> T:
        """Tries for as long as the lease is held."""
        backoff = Backoff(0.05, 1.0)
        while True:
            self.keeper.check()
            try:
                return await call()
            except LiveStarError as error:
                if not error.retryable or isinstance(error, CapacityExceeded):
                    raise
            await asyncio.sleep(backoff.pause_s())

    def _abandon(self) -> None:
        """Nothing more will be heard of what callers wait for."""
        gone = NotOwner(f"stream '{self.id}' is not here any more: find its new owner and ask there")
        for question in self.questions.values():
            question.fail(gone)
        self.questions.clear()
        if self._opening:
            self.journal.abandon(gone)


def _parsed(entry: Entry) -> events_pb2.VisualTokensReady | None:
    try:
        message = events_pb2.VisualTokensReady.FromString(entry.payload)
    except DecodeError:
        return None
    return message if message.sequence and message.WhichOneof("body") else None


def _submit(engine: Engine, stream: StreamId, notes: list[FrameNote]) -> list[tuple[int, LiveStarError]]:
    """Hands frames to the engine, on its thread; returns those that it would not have."""
    refused: list[tuple[int, LiveStarError]] = []
    for note in notes:
        try:
            frame = EncodedFrame(FrameNumber(note.sequence), note.pts_ns, tensor_of(note.tokens))
            engine.submit_frame(stream, frame)
        except InvalidInput as error:
            refused.append((note.sequence, error))
    return refused


async def _failure(task: asyncio.Task[None]) -> Why:
    """The error of a task that ends by nothing else."""
    await task
    raise AssertionError("the publisher never returns")
