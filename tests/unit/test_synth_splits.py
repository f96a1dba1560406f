from __future__ import annotations

from itertools import pairwise

import pytest

from livestar.synth import Split, compositions_in, families, make_clip
from livestar.synth.camera import HELD_OUT_CAMERAS, LENSES, LIGHTS
from livestar.synth.catalogue import family_named
from livestar.synth.split import SEEDS_PER_SPLIT, dice_for

pytestmark = pytest.mark.unit

FAMILIES = [family.name for family in families()]


def test_the_seeds_of_splits_never_meet() -> None:
    edges = [(split.global_seed(0), split.global_seed(SEEDS_PER_SPLIT - 1)) for split in Split]
    assert all(low <= high for low, high in edges)
    assert all(a[1] < b[0] for a, b in pairwise(edges))
    for seed in (-1, SEEDS_PER_SPLIT):
        with pytest.raises(ValueError, match="seed"):
            Split.TRAIN.global_seed(seed)


def test_dice_depend_on_everything_they_are_for() -> None:
    throws = {
        dice_for(family, seed, split, purpose).random()
        for family in FAMILIES
        for seed in range(20)
        for split in Split
        for purpose in ("story", "camera")
    }
    assert len(throws) == len(FAMILIES) * 20 * len(Split) * 2


@pytest.mark.parametrize("family", FAMILIES)
def test_training_and_validation_never_show_what_is_held_out(family: str) -> None:
    barred = family_named(family).held_out
    assert barred
    seen = set()
    for seed in range(1000):
        for split in (Split.TRAIN, Split.VAL):
            clip = make_clip(family, seed, 40, split)
            seen |= compositions_in(clip)
            assert clip.camera_condition not in HELD_OUT_CAMERAS
            assert not clip.held_out
    assert seen
    assert not seen & barred


@pytest.mark.parametrize("family", FAMILIES)
def test_each_part_of_a_held_out_composition_occurs_in_training(family: str) -> None:
    clips = [make_clip(family, seed, 60, Split.TRAIN) for seed in range(120)]
    facts = {fact for clip in clips for pair in compositions_in(clip) for fact in pair}
    assert {fact for pair in family_named(family).held_out for fact in pair} <= facts


@pytest.mark.parametrize("family", FAMILIES)
def test_the_test_split_shows_all_that_is_held_out_and_says_so(family: str) -> None:
    barred, seen, cameras = family_named(family).held_out, set(), set()
    for seed in range(400):
        clip = make_clip(family, seed, 60)
        shown = compositions_in(clip) & barred
        seen |= shown
        cameras.add(clip.camera_condition)
        assert ("composition" in clip.held_out) == bool(shown)
        assert ("camera" in clip.held_out) == (clip.camera_condition in HELD_OUT_CAMERAS)
    assert seen == barred
    assert cameras >= HELD_OUT_CAMERAS


def test_each_light_and_lens_occurs_in_training() -> None:
    conditions = {make_clip("traffic", seed, 20, Split.TRAIN).camera_condition for seed in range(300)}
    assert {light for light, _ in conditions} == set(LIGHTS)
    assert {lens for _, lens in conditions} == set(LENSES)
