from __future__ import annotations

import hashlib
import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest

from livestar.synth import Clip, Split, families, make_clip

pytestmark = pytest.mark.unit

FAMILIES = [family.name for family in families()]
TIMES = (0.0, 3.3, 11.0, 19.9)


def digest(clip: Clip, times: tuple[float, ...] = TIMES) -> str:
    frames = (clip.render(t, 64).tobytes() for t in times)
    words = repr((clip.events, clip.groundings, clip.standing_questions, clip.question_chains))
    return hashlib.sha256(b"".join(frames) + words.encode()).hexdigest()


def test_there_are_eight_families_each_with_a_description() -> None:
    assert len(set(FAMILIES)) >= 8
    assert all(family.description for family in families())


@pytest.mark.parametrize("family", FAMILIES)
def test_the_order_of_calls_does_not_matter(family: str) -> None:
    forward, backward = make_clip(family, 3, 20), make_clip(family, 3, 20)
    _ = backward.question_rounds, backward.standing_questions
    late_first = {t: backward.render(t) for t in reversed(TIMES)}
    for t in TIMES:
        assert np.array_equal(forward.render(t), late_first[t])
        assert np.array_equal(forward.render(t), late_first[t])
    assert forward.events == backward.events
    assert forward.question_chains == backward.question_chains


def test_another_process_makes_the_same_clips() -> None:
    script = (
        "from livestar.synth import *; import hashlib\n"
        f"for f in {FAMILIES!r}:\n"
        " c = make_clip(f, 7, 20, Split.TRAIN)\n"
        f" frames = b''.join(c.render(t, 64).tobytes() for t in {TIMES!r})\n"
        " words = repr((c.events, c.groundings, c.standing_questions, c.question_chains))\n"
        " print(hashlib.sha256(frames + words.encode()).hexdigest())\n"
    )
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.split() == [digest(make_clip(f, 7, 20, Split.TRAIN)) for f in FAMILIES]


@pytest.mark.parametrize("family", FAMILIES)
def test_seeds_and_splits_make_different_clips(family: str) -> None:
    clips = [make_clip(family, seed, 20, split) for seed in (0, 1) for split in Split]
    assert len({digest(clip, (5.0,)) for clip in clips}) == len(clips)


@pytest.mark.parametrize("family", FAMILIES)
def test_events_cover_the_time_and_start_off_the_whole_seconds(family: str) -> None:
    for seed in range(60):
        seconds = 20 + seed * 9.8
        events = make_clip(family, seed, seconds).events
        assert events[0].start_s == 0
        assert events[-1].end_s == seconds
        for a, b in pairwise(events):
            assert a.end_s == b.start_s
            assert a.facts != b.facts
            assert 0.25 < b.start_s % 1 < 0.97
        assert all(3 <= event.end_s - event.start_s <= 13 for event in events)


@pytest.mark.parametrize("seconds", [20, 600])
@pytest.mark.parametrize("family", FAMILIES)
def test_every_frame_is_a_picture_and_neighbours_differ(family: str, seconds: float) -> None:
    clip = make_clip(family, 11, seconds)
    frames = [clip.render(seconds * share) for share in (0, 0.37, 0.83, 1)]
    for frame in frames:
        assert frame.shape == (224, 224, 3)
        assert frame.dtype == np.uint8
        assert frame.std() > 15
    assert all((a != b).any() for a, b in pairwise(frames))


@pytest.mark.parametrize("family", FAMILIES)
def test_other_sizes_show_the_same_scene(family: str) -> None:
    clip = make_clip(family, 2, 20)
    small, large = clip.render(6.0), clip.render(6.0, 448)
    shrunk = large.reshape(224, 2, 224, 2, 3).mean((1, 3))
    assert np.abs(shrunk - small).mean() < 12


@pytest.mark.parametrize("family", FAMILIES)
def test_an_event_changes_the_picture_more_than_time_does(family: str) -> None:
    """What an event is about is there at its first whole second: on average it outweighs drift and distractors."""
    within, across = [], []
    for seed in range(4):
        clip = make_clip(family, seed, 40)
        for a, b in pairwise(clip.events):
            t = int(b.start_s)
            before, last, first = (clip.render(x).astype(int) for x in (t - 1, t, t + 1))
            if t - 1 > a.start_s + 1:
                within.append(np.abs(last - before).mean())
                across.append(np.abs(first - last).mean())
    assert np.median(across) > np.median(within)


def test_a_wrong_request_says_so() -> None:
    with pytest.raises(ValueError, match="no family 'street'"):
        make_clip("street", 0, 20)
    with pytest.raises(ValueError, match="at least"):
        make_clip("traffic", 0, 1)
    with pytest.raises(ValueError, match="seed"):
        make_clip("traffic", -1, 20)
    with pytest.raises(ValueError, match="covers"):
        make_clip("traffic", 0, 20).render(20.1)
