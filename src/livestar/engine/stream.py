"""One watched stream: its inbox, its channels, and the tasks that are under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import torch

from livestar.core.decision import Event, FrameDropped
from livestar.core.errors import CapacityExceeded, FailedPrecondition, InvalidInput, NotFound
from livestar.core.frame import Moment
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine.branch_decoding import BranchDecoding
from livestar.engine.channel import NARRATION, Channel, ChannelKind, Held
from livestar.engine.decoding import FIRST, Decoding
from livestar.engine.gate import Gate, GateSettings
from livestar.engine.questions import Questions
from livestar.engine.reference_decoding import ReferenceDecoding, Revise
from livestar.engine.saving import Saving
from livestar.engine.settings import Mode, StreamSettings
from livestar.engine.snapshot import StreamChange, StreamSnapshot
from livestar.engine.state import Frame, StreamState
from livestar.engine.steps import Task
from livestar.kv import Chunk, Score, Segment, SegmentKind, Trunk
from livestar.memory import CaptionEntry, Forget, ForgetPolicy, FrameEntry, Ledger, TokenBudget, apply
from livestar.model import ChatTemplate, Tokenizer

MAX_CHARS_PER_TOKEN = 64
"""Longer texts are refused before anybody tokenises them."""


class Stream:
    """Feeds frames and questions to the decoding, one frame at a time and questions beside it.

    Frames are decided in order; while a caption is generated new ones wait in the inbox, so decisions do not depend on how
    fast the machine is. A question is answered at once, from what has been seen when it comes.
    """

    def __init__(
        self,
        stream: StreamId,
        settings: StreamSettings,
        *,
        trunk: Trunk,
        tokenizer: Tokenizer,
        template: ChatTemplate,
        emit: Callable[[Event], None],
        max_prefill_tokens: int,
        revise: Revise | None = None,
    ) -> None:
        self.state = StreamState(stream, settings, tokenizer, template, trunk, emit)
        self.state.channels[NARRATION] = Channel(NARRATION, ChannelKind.NARRATION, (), Gate(settings.gate))
        self.decoding: Decoding = (
            BranchDecoding(self.state)
            if settings.mode is Mode.BRANCH
            else ReferenceDecoding(self.state, revise)
        )
        self.questions = Questions(self.state, self.decoding)
        self.inbox: deque[Frame] = deque()
        self.newest: Moment | None = None
        self.num_dropped = 0
        self._saving = Saving(self.state, self.questions)
        self._rebuilding = False
        self._bound = TokenBudget(max_trunk_tokens=settings.max_trunk_tokens)
        self._policy: ForgetPolicy = settings.memory or self._bound
        self._max_prefill_tokens = max_prefill_tokens
        self._watching: Task | None = None
        self._first_answers: dict[ChannelId, Task] = {}
        self._staged: Chunk | None = None
        self._planned: list[Task] = []

    def submit(self, frame: Frame) -> None:
        """Takes a frame into the inbox; when it is full the oldest waiting frame is dropped and reported.

        Raises:
            InvalidInput: the frame is not newer than every frame before it.
        """
        newest = self.newest
        if newest is not None and (frame.number <= newest.number or frame.pts_ns < newest.pts_ns):
            raise InvalidInput(
                f"frame {frame.number} is not newer than frame {newest.number}: send frames in order"
            )
        self.newest = frame
        if len(self.inbox) == self.state.settings.max_pending_frames:
            dropped = self.inbox.popleft()
            self.num_dropped += 1
            self.state.emit(FrameDropped(self.state.id, dropped.number, dropped.pts_ns))
        self.inbox.append(frame)

    def withdraw(self) -> tuple[FrameNumber, ...]:
        """Empties the inbox; see `Engine.withdraw_frames`."""
        waiting = tuple(frame.number for frame in self.inbox)
        self.inbox.clear()
        return waiting

    def ask(self, text: str, chain: str) -> QuestionId:
        """Takes a question; see `Engine.ask`."""
        return self.questions.ask(self._text_ids(text), chain)

    def add_channel(self, channel: ChannelId, kind: ChannelKind, text: str, gate: GateSettings) -> None:
        """Opens a standing question or a probe; see `Engine.stand` and `Engine.probe`."""
        state = self.state
        if state.settings.mode is not Mode.BRANCH:
            raise FailedPrecondition(
                "standing questions and probes need mode 'branch'; in mode 'reference' put the question in the task prompt"
            )
        if channel in state.channels:
            raise InvalidInput(f"the channel '{channel}' exists already on this stream: choose another name")
        if len(state.channels) > state.settings.max_channels:
            raise CapacityExceeded("too many channels are open on this stream: close one first")
        ids, template = self._text_ids(text), state.template
        if kind is ChannelKind.PROBE:
            state.channels[channel] = Channel(channel, kind, (), Gate(gate), Held(ids, text, float("nan")))
            return
        prompt = (*template.user_open, *ids, *template.turn_close)
        state.channels[channel] = Channel(channel, kind, prompt, Gate(gate))

    def remove_channel(self, channel: ChannelId) -> None:
        """Closes a standing question or a probe; what it is saying ends at its next token, unheard.

        Raises:
            NotFound: there is none of this name.
            InvalidInput: it is the narration.
        """
        if channel == NARRATION:
            raise InvalidInput("the narration cannot be removed: close the stream instead")
        self._channel(channel).cancelled = True
        if task := self._first_answers.pop(channel, None):
            task.close()
        del self.state.channels[channel]

    def cancel(self, source: ChannelId | QuestionId) -> None:
        """Stops a caption or an answer at its next token; a waiting question is taken out.

        Raises:
            NotFound: there is no such channel or open question.
        """
        if isinstance(source, str):
            self._channel(source).cancelled = True
        else:
            self.questions.cancel(source)

    @property
    def has_work(self) -> bool:
        """Whether a pass would move this stream forward."""
        waits = self.inbox or self.questions.can_start or self._unanswered()
        return bool(self._rebuilding or self._tasks() or waits)

    def close(self) -> None:
        """Abandons everything and returns the pages; open questions are reported as cancelled."""
        for task in (self._watching, *self._first_answers.values()):
            if task:
                task.close()
        self.questions.close()
        self._watching = None
        self._first_answers.clear()
        self.inbox.clear()
        self.state.trunk.close()

    def chunks(self) -> list[Chunk]:
        """What this stream wants computed in the next pass; empty when there is nothing to do.

        Staged trunk rows come first. When there are more of them than one pass may take, they come alone. Asking again
        without `resume` gives the same: a pass that failed can be run again.
        """
        self._start()
        trunk = self.state.trunk
        alone = trunk.num_staged > self._max_prefill_tokens
        tasks = self._tasks()
        wanted = bool(tasks) or self._rebuilding
        self._staged = trunk.staged(self._max_prefill_tokens) if wanted else None
        self._planned = [] if alone else tasks
        staged = [self._staged] if self._staged else []
        return staged + [chunk for task in self._planned for chunk in task.chunks]

    def resume(self, scores: list[Score]) -> None:
        """Takes the scores of `chunks()`: the staged rows count as computed, and the tasks go on."""
        if self._staged:
            self.state.trunk.commit(self._staged)
            scores = scores[1:]
        for task in self._planned:
            mine, scores = scores[: len(task.chunks)], scores[len(task.chunks) :]
            task.resume(mine)
        self._staged, self._planned = None, []
        self._rebuilding = self._rebuilding and self.state.trunk.num_staged > 0
        if self._watching and self._watching.done:
            self._watching = None
        self._first_answers = {key: task for key, task in self._first_answers.items() if not task.done}
        self.questions.sweep()

    @property
    def is_between_frames(self) -> bool:
        """Whether no frame is being decided."""
        return self._watching is None

    def snapshot(self) -> StreamSnapshot:
        """The stream's memory as a value; see `Engine.snapshot`."""
        self._require_between_frames()
        return self._saving.snapshot(self._first_answers.keys())

    def take_change(self) -> StreamChange | None:
        """What changed since it was called last; see `Engine.take_change`."""
        return self._saving.take_change(self._first_answers.keys()) if self.is_between_frames else None

    def restore(self, snapshot: StreamSnapshot) -> None:
        """Goes on from a snapshot, which has been checked; nothing may have been watched or asked yet."""
        self._saving.restore(snapshot)
        self.newest = self.state.seen
        self._rebuilding = True

    def coming_ledger(self) -> Ledger:
        """What the memory is asked about before the next frame; see `Engine.coming_ledger`."""
        self._require_between_frames()
        seen = self.state.seen
        number = FrameNumber(seen.number + 1 if seen else 1)
        frame = self.inbox[0] if self.inbox else Frame(number, 0, torch.empty(0))
        return self.ledger(coming=self.decoding.room_for(frame))

    def ledger(self, *, coming: int = 0) -> Ledger:
        """The trunk as the memory sees it; `coming` rows count as if they were there already."""
        segments = self.state.trunk.segments
        return Ledger(
            frames=tuple(_frame_entry(s) for s in segments if s.kind is SegmentKind.FRAME),
            captions=tuple(
                CaptionEntry(clip=s.clip, num_tokens=len(s))
                for s in segments
                if s.kind is SegmentKind.CAPTION
            ),
            fixed_tokens=coming + sum(len(s) for s in segments if s.kind is SegmentKind.PREAMBLE),
        )

    def _tasks(self) -> list[Task]:
        watching = [self._watching] if self._watching else []
        return [*watching, *self._first_answers.values(), *self.questions.tasks]

    def _start(self) -> None:
        """Starts what can start: questions first, so that they see what had been seen when they came.

        While a frame waits for room, which needs every branch closed, no question is let in before it. A frame also waits
        for the first answer of a new standing question, which it is verified against.
        """
        comes = self._watching is None and bool(self.inbox)
        has_room = comes and self._make_room(self.inbox[0])
        if comes and not has_room:
            return
        if self.questions.can_start:
            self.questions.start()
        for channel in self._unanswered():
            assert isinstance(self.decoding, BranchDecoding), "standing questions exist in mode 'branch' only"
            assert self.state.seen is not None, "a standing question waits for the first frame"
            steps = self.decoding.say(channel, self.state.seen, FIRST, float("nan"))
            self._first_answers[channel.id] = Task(steps)
        if has_room and not self._first_answers:
            self._watching = Task(self.decoding.watch(self.inbox.popleft()))

    def _unanswered(self) -> list[Channel]:
        """Standing questions that can be answered from what has been seen, without waiting for a frame."""
        if self.state.seen is None or self._watching is not None:
            return []
        channels = self.state.channels.values()
        return [channel for channel in channels if channel.kind is ChannelKind.STANDING and channel.asked]

    def _make_room(self, frame: Frame) -> bool:
        """Lets the memory forget what must go before the frame comes. False: wait until no branch is open."""
        trunk = self.state.trunk
        coming = self.decoding.room_for(frame)
        forget = self._forgetting(self.ledger(coming=coming))
        must_rebase = trunk.needs_rebase(coming + self.state.settings.max_branch_rows)
        if not (forget or must_rebase):
            return True
        if trunk.branches:
            return False
        trunk.forget(
            lambda segment: (
                (segment.kind is SegmentKind.FRAME and segment.frame in forget.frames)
                or (segment.kind is SegmentKind.CAPTION and segment.clip in forget.captions)
            )
        )
        if must_rebase:
            trunk.rebase()
        return True

    def _forgetting(self, ledger: Ledger) -> Forget:
        """What the policy forgets, and what the hard bound adds: not every policy bounds the trunk."""
        forget = self._policy.plan(ledger)
        return forget | self._bound.plan(apply(ledger, forget))

    def _text_ids(self, text: str) -> tuple[int, ...]:
        """Ids of a question or probe; nothing in it can become a control or image token."""
        limit = self.state.settings.max_question_tokens
        if len(text) > MAX_CHARS_PER_TOKEN * limit:
            raise InvalidInput(
                f"the text has {len(text)} characters, too many for {limit} tokens: shorten it"
            )
        ids = tuple(self.state.template.text(text.strip()))
        if not ids:
            raise InvalidInput("the question is empty: write one")
        if len(ids) > limit:
            raise InvalidInput(f"the text has {len(ids)} tokens and {limit} are allowed: shorten it")
        return ids

    def _require_between_frames(self) -> None:
        if not self.is_between_frames:
            raise FailedPrecondition(
                f"a frame of the stream '{self.state.id}' is being decided: try again after the step that decides it"
            )

    def _channel(self, channel: ChannelId) -> Channel:
        if channel not in self.state.channels:
            raise NotFound(f"there is no channel '{channel}' on this stream")
        return self.state.channels[channel]


def _frame_entry(segment: Segment) -> FrameEntry:
    return FrameEntry(
        number=FrameNumber(segment.frame),
        clip=segment.clip,
        nll=segment.nll,
        num_tokens=len(segment),
        pts_ns=segment.pts_ns,
    )
