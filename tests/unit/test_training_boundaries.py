"""The trunk of a training window under boundaries that are late, doubled or misheard."""

from __future__ import annotations

from random import Random

import pytest

from livestar.synth import Clip, Split, make_clip
from livestar.training.boundaries import Boundaries
from livestar.training.packing import Remembered, Watched, WatchedFrame
from livestar.training.synthstar_windows import Span, WindowSettings, watch

pytestmark = pytest.mark.unit

SECONDS = 40
ALL = Span((), 0, SECONDS, 0)


@pytest.fixture(scope="module", params=["traffic", "parking"])
def clip(request: pytest.FixtureRequest) -> Clip:
    return make_clip(request.param, 3, SECONDS, Split.TRAIN)


def watched(clip: Clip, boundaries: Boundaries, seed: int = 0, span: Span = ALL) -> Watched:
    settings = WindowSettings(num_frames=28, boundaries=boundaries)
    return watch(clip, span, settings, Random(seed))


def frames(window: Watched) -> list[WatchedFrame]:
    return [item for item in window.items if isinstance(item, WatchedFrame)]


def put_on_trunk(window: Watched) -> list[str]:
    return [item.caption for item in window.items if isinstance(item, Remembered)]


def event_at(clip: Clip, second: float) -> int:
    return max(i for i, event in enumerate(clip.events) if event.start_s <= second)


def test_clips_of_the_trunk_are_the_events_unless_asked_otherwise(clip: Clip) -> None:
    window = watched(clip, Boundaries())
    assert [frame.event for frame in frames(window)] == [event_at(clip, t) for t in range(SECONDS)]
    assert put_on_trunk(window) == []


@pytest.mark.parametrize("boundaries", [Boundaries(late=1.0), Boundaries(0.5, 0.2, 0.2)])
def test_every_frame_is_still_taught_what_happens_at_it(clip: Clip, boundaries: Boundaries) -> None:
    for seed in range(20):
        told = [frame.caption for frame in frames(watched(clip, boundaries, seed))]
        assert told == [clip.events[event_at(clip, t)].narration for t in range(SECONDS)]


def test_a_late_boundary_leaves_the_events_first_frames_in_the_clip_before(clip: Clip) -> None:
    window = watched(clip, Boundaries(late=1.0))
    shown = frames(window)
    first = next(t for t in range(SECONDS) if event_at(clip, t) == 1)
    assert shown[first].event == shown[first - 1].event == 0
    # The caption that the stream held all the while ends the clip, not the one that is due at its last frame.
    assert put_on_trunk(window)[0] == clip.events[0].narration


def test_a_doubled_boundary_opens_a_clip_with_the_same_event(clip: Clip) -> None:
    window = watched(clip, Boundaries(doubled=1.0))
    clips = [frame.event for frame in frames(window)]
    assert clips == list(range(SECONDS))
    assert put_on_trunk(window) == []


def test_a_misheard_caption_stands_on_the_trunk_and_is_not_trained(clip: Clip) -> None:
    window = watched(clip, Boundaries(misheard=1.0))
    texts = put_on_trunk(window)
    assert len(texts) == event_at(clip, SECONDS - 1)
    assert {text in {event.narration for event in clip.events} for text in texts} == {True}
    true_ones = [event.narration for event in clip.events[: len(texts)]]
    assert texts != true_ones


def test_a_forgotten_past_keeps_its_events(clip: Clip) -> None:
    start = next(t for t in range(SECONDS) if event_at(clip, t) == 3)
    span = Span((start - 1,), start, 10, 1)
    window = watched(clip, Boundaries(late=1.0, doubled=0.5), span=span)
    assert put_on_trunk(window)[:2] == [clip.events[1].narration, clip.events[2].narration]
    assert [item.event for item in window.items] == sorted(item.event for item in window.items)


@pytest.mark.parametrize("name", ["late", "doubled", "misheard"])
def test_a_share_outside_0_to_1_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        Boundaries(**{name: 1.5})
