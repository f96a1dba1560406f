from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from livestar.core.errors import FailedPrecondition
from livestar.evaluation.delays import Delays
from livestar.evaluation.omnistar import NarratedVideo, TimedCaption
from livestar.evaluation.plots import plot_alpha_curve, plot_delays, plot_memory_curve
from livestar.evaluation.sweep import Point, Sweep
from livestar.evaluation.synthstar_scores import Scores
from livestar.evaluation.synthstar_watch import WatchSettings
from livestar.evaluation.synthstar_watched import Task

pytestmark = pytest.mark.unit


def points(name: str, *values: float | None) -> list[Point]:
    scores = Scores(sem_cor=0.9, facts_recall=0.8, tim_cover=1.0, tim_redun=0.2, tim_diff_s=1.0,
                    tim_diff_cumulative_s=2.0)  # fmt: skip
    return [{name: value, **scores.rounded()} for value in values]


def pixels(picture: Path) -> np.ndarray:
    return np.asarray(Image.open(picture).convert("RGB"))


def has_colour(picture: Path, rgb: tuple[int, int, int]) -> bool:
    return bool((pixels(picture) == rgb).all(-1).any())


BLUE, RED, PINK = (0, 114, 178), (213, 94, 0), (204, 121, 167)


def test_delays_are_counted_by_second() -> None:
    delays = Delays.of([0, 2, None, 0, 2, 4])
    assert (delays.counts, delays.missed) == ((2, 0, 2, 0, 1), 1)
    assert Delays.of([None]).report() == {"counts": [], "missed": 1}


def test_delays_of_narrated_videos() -> None:
    video = NarratedVideo("a.mp4", (TimedCaption(0, "x"), TimedCaption(5, "y"), TimedCaption(9, "z")))
    said = (TimedCaption(4, "late"), TimedCaption(2, "early"), TimedCaption(6, "z"))
    delays = Delays.of_videos([(video, said)])
    assert (delays.counts, delays.missed) == ((1, 1), 1)


def test_every_score_has_its_line(tmp_path: Path) -> None:
    plot_alpha_curve(points("alpha", 1.2, 1.0, 1.05), 1.05, tmp_path / "alpha.png")
    plot_memory_curve(points("max_trunk_tokens", None, 300, 600), "fifo", tmp_path / "memory.png")
    for name in ("alpha", "memory"):
        assert all(has_colour(tmp_path / f"{name}.png", rgb) for rgb in (BLUE, RED, PINK))
        assert min(pixels(tmp_path / f"{name}.png").shape[:2]) > 600


def test_a_score_that_is_missing_has_none(tmp_path: Path) -> None:
    nothing: list[Point] = [{"alpha": 1.0, **Scores(fdq_exact=0.5).rounded()}]
    plot_alpha_curve(nothing, 1.0, tmp_path / "alpha.png")
    assert not any(has_colour(tmp_path / "alpha.png", rgb) for rgb in (BLUE, RED, PINK))


@pytest.mark.parametrize("delays", [(0, 0, 3, 40, None), (None,), (0,), ()])
def test_delays_have_bars_and_missed_events_a_different_one(
    tmp_path: Path, delays: tuple[int | None, ...]
) -> None:
    plot_delays(Delays.of(delays), tmp_path / "delays.png")
    assert has_colour(tmp_path / "delays.png", BLUE) == any(delay is not None for delay in delays)
    assert has_colour(tmp_path / "delays.png", RED) == (None in delays)


def test_without_matplotlib_it_is_said_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(FailedPrecondition, match=r"^the package 'matplotlib' .* 'livestar\[plots\]'$"):
        plot_delays(Delays.of([0]), tmp_path / "delays.png")


def test_a_sweep_varies_one_setting_at_a_time() -> None:
    base = WatchSettings(tasks=frozenset({Task.RNG, Task.COQ}))
    same, alpha, budget, everything = Sweep(base, (1.2,), (400, None)).variants
    assert same == base
    assert (alpha.stream.gate.alpha, alpha.tasks) == (1.2, {Task.RNG})
    assert alpha.stream.max_trunk_tokens == base.stream.max_trunk_tokens
    assert (budget.stream.max_trunk_tokens, budget.stream.gate, budget.tasks) == (
        400, base.stream.gate, base.tasks,
    )  # fmt: skip
    assert everything.summary()["max_trunk_tokens"] is None


def test_a_sweep_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"alpha is at least 1, not 0\.5"):
        _ = Sweep(WatchSettings(), alphas=(0.5,)).variants
