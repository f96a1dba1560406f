"""The questions of one stream: waiting, being answered, and what their chains remember."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from livestar.core.decision import Answer, Ending
from livestar.core.errors import CapacityExceeded, NotFound
from livestar.core.ids import FrameNumber, QuestionId
from livestar.engine.decoding import Decoding
from livestar.engine.dialogue import Chain, Dialogue
from livestar.engine.speech import speak
from livestar.engine.state import StreamState
from livestar.engine.steps import Steps, Task
from livestar.engine.text_sink import TextSink
from livestar.kv import Content


@dataclass
class Question:
    """A question that waits or is being answered."""

    id: QuestionId
    chain: str
    ids: tuple[int, ...]
    cancelled: bool = False


class Questions:
    """Answers questions beside the narration. Questions of one chain are answered one after the other, others side by side."""

    def __init__(self, state: StreamState, decoding: Decoding) -> None:
        self._state = state
        self._decoding = decoding
        self._dialogue = Dialogue(state.settings.max_chain_tokens)
        self._waiting: deque[Question] = deque()
        self._open: dict[QuestionId, tuple[Question, Task]] = {}
        self.next_id = QuestionId(1)

    @property
    def tasks(self) -> list[Task]:
        """Answers under way."""
        return [task for _, task in self._open.values()]

    @property
    def unanswered(self) -> tuple[QuestionId, ...]:
        """Questions that wait or are being answered, oldest first."""
        return tuple(sorted([*self._open, *(question.id for question in self._waiting)]))

    @property
    def chains(self) -> tuple[Chain, ...]:
        """What every chain remembers, the longest unused one first."""
        return self._dialogue.chains

    def restore(self, chains: Iterable[Chain], next_id: QuestionId) -> None:
        """Takes over the chains of a saved stream, and the id of its next question."""
        self._dialogue.restore(chains)
        self.next_id = next_id

    @property
    def can_start(self) -> bool:
        """Whether `start` would start something."""
        return self._state.seen is not None and next(self._startable(), None) is not None

    def ask(self, ids: tuple[int, ...], chain: str) -> QuestionId:
        """Takes a question.

        Raises:
            CapacityExceeded: too many are open.
        """
        if len(self._waiting) + len(self._open) >= self._state.settings.max_open_questions:
            raise CapacityExceeded(
                "too many questions are open on this stream: wait for an answer or cancel one"
            )
        question = Question(self.next_id, chain, ids)
        self.next_id = QuestionId(self.next_id + 1)
        self._waiting.append(question)
        return question.id

    def cancel(self, question: QuestionId) -> None:
        """Stops an answer at its next token, or takes a waiting question out.

        Raises:
            NotFound: it is not open.
        """
        if question in self._open:
            self._open[question][0].cancelled = True
            return
        for waiting in self._waiting:
            if waiting.id == question:
                self._waiting.remove(waiting)
                self._emit(waiting, (), Ending.CANCELLED)
                return
        raise NotFound(f"question {question} is not open on this stream")

    def start(self) -> None:
        """Starts every question whose chain is free."""
        for question in list(self._startable()):
            self._waiting.remove(question)
            self._open[question.id] = (question, Task(self._answer(question)))

    def sweep(self) -> None:
        """Forgets answers that are done."""
        self._open = {key: (question, task) for key, (question, task) in self._open.items() if not task.done}

    def close(self) -> None:
        """Abandons everything; every open question gets a last word."""
        for question, task in self._open.values():
            task.close()
            self._emit(question, (), Ending.CANCELLED)
        for question in self._waiting:
            self._emit(question, (), Ending.CANCELLED)
        self._open.clear()
        self._waiting.clear()

    def _startable(self) -> Iterator[Question]:
        busy = {question.chain for question, _ in self._open.values()}
        for question in self._waiting:
            if question.chain not in busy:
                busy.add(question.chain)
                yield question

    def _answer(self, question: Question) -> Steps[None]:
        state, template = self._state, self._state.template
        assert state.seen is not None, "a question waits for the first frame"
        seen = state.seen
        sink = TextSink(state, question.id, seen)
        branch, prefix = self._decoding.branch_for_question()
        turn = (*template.user_open, *question.ids, *template.turn_close, *template.assistant_open)
        with branch:
            speech = yield from speak(
                branch,
                Content.join(prefix, Content.text(self._dialogue.history(question.chain), turn)),
                state.speech_settings(forbid_control=True, score_stop=False),
                on_token=sink.take,
                cancelled=lambda: question.cancelled,
            )
        sink.finish()
        if speech.finished:
            self._dialogue.add(question.chain, (*turn, *speech.ids, *template.turn_close))
        self._emit(question, speech.ids, speech.ending, seen.number, seen.pts_ns)

    def _emit(
        self,
        question: Question,
        ids: tuple[int, ...],
        ending: Ending,
        frame: FrameNumber | None = None,
        pts_ns: int = 0,
    ) -> None:
        state = self._state
        if frame is None and state.seen is not None:
            frame, pts_ns = state.seen.number, state.seen.pts_ns
        text = state.tokenizer.decode(ids).strip()
        state.emit(Answer(state.id, question.id, frame or FrameNumber(0), pts_ns, text, ids, ending))
