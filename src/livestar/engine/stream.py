"""One watched stream: its inbox, its questions, and the tasks that are under way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from livestar.core.decision import Answer, Ending, Event, FrameDropped
from livestar.core.errors import CapacityExceeded, FailedPrecondition, InvalidInput, NotFound
from livestar.core.ids import ChannelId, FrameNumber, QuestionId, StreamId
from livestar.engine.branch_decoding import BranchDecoding
from livestar.engine.channel import NARRATION, Channel, ChannelKind, Held
from livestar.engine.decoding import FIRST, Decoding
from livestar.engine.dialogue import Dialogue
from livestar.engine.gate import Gate, GateSettings
from livestar.engine.reference_decoding import ReferenceDecoding, Revise
from livestar.engine.settings import Mode, StreamSettings
from livestar.engine.speech import speak
from livestar.engine.state import Frame, StreamState
from livestar.engine.steps import Steps, Task
from livestar.kv import Chunk, Content, Score, Segment, SegmentKind, Trunk
from livestar.memory import CaptionEntry, Forget, ForgetPolicy, FrameEntry, Ledger, TokenBudget, apply
from livestar.model import ChatTemplate, Tokenizer


@dataclass(frozen=True)
class Question:
    """A question that waits or is being answered."""

    id: QuestionId
    chain: str
    ids: tuple[int, ...]


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
        self.inbox: deque[Frame] = deque()
        self.num_dropped = 0
        self._bound = TokenBudget(max_trunk_tokens=settings.max_trunk_tokens)
        self._policy: ForgetPolicy = settings.memory or self._bound
        self._max_prefill_tokens = max_prefill_tokens
        self._dialogue = Dialogue(settings.max_chain_tokens)
        self._waiting: deque[Question] = deque()
        self._watching: Task | None = None
        self._asking: dict[QuestionId | ChannelId, Task] = {}
        self._cancelled: set[QuestionId] = set()
        self._unanswered: deque[ChannelId] = deque()
        self._next_question = 1
        self._plan: list[tuple[Task | None, int]] = []

    def submit(self, frame: Frame) -> None:
        """Takes a frame into the inbox; when it is full the oldest waiting frame is dropped and reported."""
        if len(self.inbox) == self.state.settings.max_pending_frames:
            dropped = self.inbox.popleft()
            self.num_dropped += 1
            self.state.emit(FrameDropped(self.state.id, dropped.number, dropped.pts_ns))
        self.inbox.append(frame)

    def ask(self, text: str, chain: str) -> QuestionId:
        """Takes a question; see `Engine.ask`."""
        if len(self._waiting) + len(self._asking) >= self.state.settings.max_open_questions:
            raise CapacityExceeded(
                "too many questions are open on this stream: wait for an answer or cancel one"
            )
        question = Question(QuestionId(self._next_question), chain, self._question_ids(text))
        self._next_question += 1
        self._waiting.append(question)
        return question.id

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
        ids = self._question_ids(text)
        template = state.template
        if kind is ChannelKind.PROBE:
            state.channels[channel] = Channel(channel, kind, (), Gate(gate), Held(ids, text, float("nan")))
            return
        prompt = (*template.user_open, *ids, *template.turn_close)
        state.channels[channel] = Channel(channel, kind, prompt, Gate(gate))
        self._unanswered.append(channel)

    def remove_channel(self, channel: ChannelId) -> None:
        """Closes a standing question or a probe."""
        if channel == NARRATION:
            raise InvalidInput("the narration cannot be removed: close the stream instead")
        found = self._channel(channel)
        found.cancelled = True
        if channel in self._unanswered:
            self._unanswered.remove(channel)
        if task := self._asking.pop(channel, None):
            task.close()
        del self.state.channels[channel]

    def cancel(self, source: ChannelId | QuestionId) -> None:
        """Stops a caption or an answer at its next token; a waiting question is taken out."""
        if isinstance(source, str):
            self._channel(source).cancelled = True
        elif source in self._asking or any(question.id == source for question in self._waiting):
            self._cancelled.add(source)
        else:
            raise NotFound(f"question {source} is not open on this stream")

    @property
    def has_work(self) -> bool:
        """Whether a pass would move this stream forward."""
        return bool(self._watching or self._asking or self.inbox or self._can_answer())

    def close(self) -> None:
        """Abandons everything and returns the pages."""
        for task in (self._watching, *self._asking.values()):
            if task:
                task.close()
        self._watching = None
        self._asking.clear()
        self.inbox.clear()
        self._waiting.clear()
        self._unanswered.clear()
        self.state.trunk.close()

    def chunks(self) -> list[Chunk]:
        """What this stream wants computed in the next pass; empty when there is nothing to do.

        Staged trunk rows come first. When there are more of them than one pass may take, they come alone.
        """
        self._start()
        trunk = self.state.trunk
        alone = trunk.num_staged > self._max_prefill_tokens
        staged = trunk.take_staged(self._max_prefill_tokens)
        chunks = [staged] if staged else []
        self._plan = [(None, 1)] if staged else []
        if not alone:
            for task in self._tasks():
                chunks += task.chunks
                self._plan.append((task, len(task.chunks)))
        return chunks

    def resume(self, scores: list[Score]) -> None:
        """Hands the scores of `chunks()` to the tasks that wanted them."""
        for task, count in self._plan:
            mine, scores = scores[:count], scores[count:]
            if task and not task.done:
                task.resume(mine)
        self._plan = []
        if self._watching and self._watching.done:
            self._watching = None
        self._asking = {key: task for key, task in self._asking.items() if not task.done}

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
        return [task for task in (self._watching, *self._asking.values()) if task]

    def _start(self) -> None:
        """Starts what can start: questions first, so that they see what had been seen when they came.

        While a frame waits for room, which needs every branch closed, no question is let in before it.
        """
        comes = self._watching is None and bool(self.inbox)
        has_room = comes and self._make_room(self.inbox[0])
        if comes and not has_room:
            return
        if self._can_answer():
            self._start_answers()
        if has_room:
            self._watching = Task(self.decoding.watch(self.inbox.popleft()))

    def _can_answer(self) -> bool:
        return self.state.seen is not None and bool(self._waiting or self._unanswered)

    def _start_answers(self) -> None:
        while self._waiting:
            question = self._waiting.popleft()
            self._asking[question.id] = Task(self._answer(question))
        if self._watching is None:
            while self._unanswered:
                channel = self.state.channels[self._unanswered.popleft()]
                self._asking[channel.id] = Task(self._first_answer(channel))

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

    def _answer(self, question: Question) -> Steps[None]:
        state, template = self.state, self.state.template
        frame = state.seen
        assert frame is not None, "a question waits for the first frame"
        branch, prefix = self.decoding.branch_for_question()
        turn = (*template.user_open, *question.ids, *template.turn_close, *template.assistant_open)
        with branch:
            speech = yield from speak(
                branch,
                Content.join(prefix, Content.text(self._dialogue.history(question.chain), turn)),
                state.speech_settings(forbid_control=True, score_stop=False),
                on_token=self.decoding.text_sink(question.id, frame),
                cancelled=lambda: question.id in self._cancelled,
            )
        self._cancelled.discard(question.id)
        if speech.ending in (Ending.COMPLETE, Ending.TRUNCATED):
            self._dialogue.add(question.chain, (*turn, *speech.ids, *template.turn_close))
        text = state.tokenizer.decode(speech.ids).strip()
        state.emit(Answer(state.id, question.id, frame.number, frame.pts_ns, text, speech.ids, speech.ending))

    def _first_answer(self, channel: Channel) -> Steps[None]:
        assert isinstance(self.decoding, BranchDecoding), "standing questions exist in mode 'branch' only"
        assert self.state.seen is not None, "a standing question waits for the first frame"
        yield from self.decoding.say(channel, self.state.seen, FIRST, float("nan"))

    def _question_ids(self, text: str) -> tuple[int, ...]:
        ids = tuple(self.state.template.text(text.strip()))
        if not ids:
            raise InvalidInput("the question is empty: write one")
        if len(ids) > self.state.settings.max_question_tokens:
            raise InvalidInput(
                f"the question has {len(ids)} tokens and {self.state.settings.max_question_tokens} are allowed: shorten it"
            )
        return ids

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
