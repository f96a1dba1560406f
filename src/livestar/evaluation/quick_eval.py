"""Scores over SynthStar clips that are rendered on the spot: `python -m livestar.evaluation.quick_eval --help`.

Calibrate the gate on `--split val`, measure on `--split test`. Every clip is rendered and encoded once and watched with each
alpha; one JSON line an alpha. No video file is written or read, so PyAV is not needed.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import product
from multiprocessing import get_context
from pathlib import Path

import cv2
import torch

from livestar.core.errors import LiveStarError
from livestar.engine import GateSettings
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synthstar_scores import report
from livestar.evaluation.synthstar_watch import WatchSettings, see, watch_seen
from livestar.evaluation.synthstar_watched import Task, Watched
from livestar.model import LoadedModel
from livestar.synth import Split, families, make_clip

ClipKey = tuple[str, int]


@dataclass(frozen=True)
class QuickEval:
    """What to watch, and how.

    Attributes:
        model: checkpoint folder.
        split: which range of seeds.
        seconds: length of every clip.
        settings: one for each line of the result.
    """

    model: Path
    split: Split
    seconds: float
    settings: tuple[WatchSettings, ...]

    def watch(self, key: ClipKey) -> tuple[Watched, ...]:
        """Watches the clip of a family and a seed once with each of the settings."""
        family, seed = key
        model = _model(self.model)
        size = model.network.config.vision_config.image_size
        clip = make_clip(family, seed, self.seconds, self.split)
        clip_annotations = annotate(clip, 1, size)
        seen = list(see(model, (clip.render(t, size) for t in range(clip_annotations.num_frames))))
        return tuple(watch_seen(model, clip_annotations, seen, settings) for settings in self.settings)


def watch_clips(
    job: QuickEval, clips: Sequence[ClipKey], processes: int = 1
) -> Iterator[tuple[Watched, ...]]:
    """Watches clips in order, each with every setting; over several processes of one thread each."""
    if processes == 1:
        yield from map(job.watch, clips)
        return
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        yield from pool.map(partial(QuickEval.watch, job), clips)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one JSON line for each alpha."""
    options = _options(arguments)
    clips = list(product(options.families, options.seeds))
    job = QuickEval(options.model, options.split, options.seconds, tuple(_settings(options)))
    rows = []
    for done, row in enumerate(watch_clips(job, clips, options.processes), start=1):
        rows.append(row)
        sys.stderr.write(f"clip {done} of {len(clips)}\n")
    for settings, watched in zip(job.settings, zip(*rows, strict=True), strict=True):
        gate = settings.stream.gate
        question_gate = settings.question_gate or gate
        line = {
            "alpha": gate.alpha,
            "question_alpha": question_gate.alpha,
            "split": job.split.name.lower(),
            "seconds": job.seconds,
            "seeds": [options.seeds.start, options.seeds.stop],
            **report(watched),
        }
        sys.stdout.write(json.dumps(line) + "\n")


@cache
def _model(directory: Path) -> LoadedModel:
    """Loads the checkpoint once a process, and keeps the process to one thread."""
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    return LoadedModel.from_directory(directory)


def _settings(options: Namespace) -> Iterator[WatchSettings]:
    default = WatchSettings(tasks=frozenset(options.tasks))
    question_gate = None if options.question_alpha is None else GateSettings(options.question_alpha)
    for alpha in options.alpha:
        stream = replace(default.stream, gate=GateSettings(alpha), max_trunk_tokens=options.max_trunk_tokens)
        yield replace(default, stream=stream, question_gate=question_gate)


def _options(arguments: Sequence[str] | None) -> Namespace:
    names = [info.name for info in families()]
    parser = ArgumentParser(
        prog="quick_eval",
        description="Score a checkpoint on SynthStar clips.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--model", type=Path, required=True, help="checkpoint folder")
    add("--seeds", type=_range, default=range(3), metavar="A:B", help="clips A to B - 1 of every family")
    add("--seconds", type=float, default=60.0, help="length of a clip, at least 3")
    add("--split", type=_split, default=Split.VAL, metavar="NAME", help="train, val or test")
    add("--families", nargs="+", choices=names, default=names, metavar="NAME", help="which ones")
    add("--alpha", type=float, nargs="+", default=[1.03], help="gates of the narration, a line each")
    add("--question-alpha", type=float, help="gate of standing questions; the narration's when left out")
    add("--max-trunk-tokens", type=int, default=6000, help="how much is remembered")
    add("--tasks", type=Task, nargs="+", choices=list(Task), default=list(Task), help="what to score")
    add("--processes", type=int, default=1, help="of one thread each")
    return parser.parse_args(arguments)


def _range(text: str) -> range:
    start, _, stop = text.partition(":")
    return range(int(start), int(stop) if stop else int(start) + 1)


def _split(text: str) -> Split:
    try:
        return Split[text.upper()]
    except KeyError as error:
        raise ValueError(text) from error


if __name__ == "__main__":
    try:
        main()
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
