"""What a stretch of a SynthStar clip looks like to a stream that watches it: which frames, captions and questions.

A *dense* window is the beginning of a stream. A *thinned* one comes after a long past, as the bounded memory leaves it:
the oldest events are gone, then come some with their terminal caption only, then some with a few frames, and at the
end every frame. Frames are at whole seconds, where SynthStar's facts can be seen.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import chain
from random import Random

from livestar.synth import Clip, QuestionChain, StandingQuestion
from livestar.training.boundaries import Boundaries, TrunkClips
from livestar.training.packing import LeafKind, Question, Remembered, Watched, WatchedFrame

MAX_STANDING = 3
"""Standing questions of one window."""


@dataclass(frozen=True)
class WindowSettings:
    """How windows are drawn.

    Attributes:
        num_frames: pictures of a window; always exactly as many, so that shapes never change.
        thinned: share of windows after a long past.
        max_past_events: events that a thinned window remembers, at most.
        paraphrased: share of captions that are told in other words (or, for grounding, as a sentence of its own).
        queried: share of captions that are told as a sentence of its own, as a grounding query has it.
        boundaries: where the trunk ends its clips; the default ends them where the events end.
        max_number: streams are joined at a frame up to this number.
        min_seconds: shortest clip.
        max_seconds: longest clip of dense windows; thinned ones come from clips up to eight times as long.
    """

    num_frames: int = 28
    thinned: float = 0.4
    max_past_events: int = 24
    paraphrased: float = 0.0
    queried: float = 0.0
    boundaries: Boundaries = field(default_factory=Boundaries)
    max_number: int = 2000
    min_seconds: int = 40
    max_seconds: int = 80

    def __post_init__(self) -> None:
        if not 2 <= self.num_frames < self.min_seconds <= self.max_seconds:
            raise ValueError("2 <= num_frames < min_seconds <= max_seconds must hold")
        for name in ("thinned", "paraphrased", "queried"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a share, not {getattr(self, name)}")


@dataclass(frozen=True)
class Span:
    """Which seconds of a clip a window shows.

    `past` are single seconds before `start`, in order; from `start` on there are `num_dense` in a row. `first_event` is the
    oldest event that is remembered.
    """

    past: tuple[int, ...]
    start: int
    num_dense: int
    first_event: int

    @property
    def seconds(self) -> tuple[int, ...]:
        """All of them."""
        return (*self.past, *range(self.start, self.start + self.num_dense))


def clip_seconds(settings: WindowSettings, dice: Random, *, thinned: bool) -> int:
    """Draws the length of a clip."""
    longest = 8 * settings.max_seconds if thinned else settings.max_seconds
    return dice.randint(settings.min_seconds, longest)


def draw_span(clip: Clip, settings: WindowSettings, dice: Random, *, thinned: bool) -> Span:
    """Draws where a window lies. A clip that is too short for a past gives a dense window."""
    num_frames, last = settings.num_frames, int(clip.seconds) - settings.num_frames
    if thinned and (past := _draw_past(clip, settings, dice)):
        return past
    start = 0 if dice.random() < 0.25 else dice.randint(0, last)
    return Span((), start, num_frames, _event_at(clip, start))


def _draw_past(clip: Clip, settings: WindowSettings, dice: Random) -> Span | None:
    """Every frame from a random moment on, and before it single frames: one of most of the younger events, then others."""
    num_frames, last = settings.num_frames, int(clip.seconds) - settings.num_frames
    num_past = dice.randint(0, num_frames // 2)
    start = dice.randint(0, last)
    now = _event_at(clip, start)
    if now == 0:
        return None
    first = max(0, now - dice.randint(1, settings.max_past_events))
    seconds: dict[int, list[int]] = {}
    for second in range(1, start):
        seconds.setdefault(_event_at(clip, second), []).append(second)
    shown = [seconds[event] for event in range(dice.randint(first, now), now + 1) if event in seconds]
    peaks = [dice.choice(moments) for moments in shown]
    others = [second for moments in shown for second in moments if second not in peaks]
    past = dice.sample(peaks, min(num_past, len(peaks)))
    past += dice.sample(others, min(num_past - len(past), len(others)))
    return Span(tuple(sorted(past)), start, num_frames - len(past), first)


def watch(clip: Clip, span: Span, settings: WindowSettings, dice: Random) -> Watched:
    """What the stream holds after the window's last frame, and what is to be said at which frame."""
    is_start = not span.past and span.first_event == _event_at(clip, span.start)
    joined = 1 if dice.random() < 0.5 else dice.randint(1, settings.max_number)
    offset = joined - (span.start if is_start else 0)
    items: list[WatchedFrame | Remembered] = []
    at_second: dict[int, int] = {}
    trunk = TrunkClips(clip, span.first_event, settings.boundaries, dice)
    for second in span.seconds:
        now, dense = _event_at(clip, second), second >= span.start
        items += trunk.ended_before(now, dense=dense)
        is_onset = second == 0 or _event_at(clip, second - 1) < now or (is_start and second == span.start)
        caption = _told(clip, now, dice, settings, opens=is_start and now == span.first_event)
        at_second[second] = len(items)
        items.append(
            WatchedFrame(second + offset, trunk.number, caption if dense else None, is_onset and dense)
        )
        trunk.showed(now, told=dense)
    questions = _questions(clip, span, dice)
    return Watched(tuple(items), is_start, tuple((at_second[t], question) for t, question in questions))


def _told(clip: Clip, event: int, dice: Random, settings: WindowSettings, *, opens: bool) -> str:
    """The canonical narration; one that opens a stream in the middle of a clip carries on from nothing."""
    told = clip.events[event]
    if opens and event:
        return _query(clip, event)
    if settings.queried and dice.random() < settings.queried:
        return _query(clip, event)
    if dice.random() < settings.paraphrased:
        return dice.choice([*told.paraphrases, _query(clip, event)])
    return told.narration


def _query(clip: Clip, event: int) -> str:
    """The event as a sentence of its own."""
    start_s = clip.events[event].start_s
    return next(g.query for g in clip.groundings if any(begin == start_s for begin, _ in g.intervals))


def _questions(clip: Clip, span: Span, dice: Random) -> list[tuple[int, Question]]:
    """Chains first, then the standing questions in random order, the frames where an answer has just changed before others."""
    chains = [*clip.question_chains, *chain.from_iterable(clip.question_rounds)]
    dice.shuffle(chains)
    asked = [leaf for one in chains if _answerable(clip, span, one) for leaf in _chain_leaves(one)]
    standing = list(clip.standing_questions)
    dice.shuffle(standing)
    holds = [leaf for one in standing[:MAX_STANDING] for leaf in _standing_leaves(one, span, dice)]
    holds.sort(key=lambda leaf: leaf[0])
    return [*asked, *((t, question) for _, t, question in holds)]


def _answerable(clip: Clip, span: Span, asked: QuestionChain) -> bool:
    """Whether the window shows the event asked about, which may be the one before: densely, from its first frame."""
    first, last = (int(asked.turns[i][0]) for i in (0, -1))
    seen_from = span.start == 0 or _event_at(clip, first) > _event_at(clip, span.start)
    return seen_from and span.start <= first and last < span.start + span.num_dense


def _chain_leaves(asked: QuestionChain) -> list[tuple[int, Question]]:
    turns = tuple((question, answer) for _, question, answer in asked.turns)
    return [
        (int(time_s), Question(LeafKind.CHAIN, turns[: i + 1]))
        for i, (time_s, _, _) in enumerate(asked.turns)
    ]


def _standing_leaves(asked: StandingQuestion, span: Span, dice: Random) -> list[tuple[float, int, Question]]:
    """(rank, second, question) at every dense frame; the lower the rank, the sooner it is kept."""
    times = [time_s for time_s, _ in asked.answers]
    leaves = []
    for second in range(span.start, span.start + span.num_dense):
        now = bisect_right(times, second) - 1
        changed = second > span.start and times[now] > second - 2
        question = Question(LeafKind.STANDING, ((asked.text, asked.answers[now][1]),))
        leaves.append((dice.random() - changed, second, question))
    return leaves


def _event_at(clip: Clip, second: float) -> int:
    return bisect_right(clip.events, second, key=lambda event: event.start_s) - 1
