"""Scores over SynthStar clips that are rendered on the spot: `python -m livestar.evaluation.quick_eval --help`.

Calibrate the gate on `--split val`, measure on `--split test`. Every clip is rendered and encoded once and watched with each
combination of settings; one JSON line each. No video file is written or read, so PyAV is not needed.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from livestar.core.errors import LiveStarError
from livestar.engine import GateSettings, Mode
from livestar.evaluation.memory_choice import MemoryChoice
from livestar.evaluation.synth_annotations import annotate
from livestar.evaluation.synthstar_scores import report
from livestar.evaluation.synthstar_watch import WatchSettings, see, watch_variants
from livestar.evaluation.synthstar_watched import Task, Watched
from livestar.evaluation.worker_pool import Checkpoint, in_processes
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
        model = Checkpoint(self.model).load()
        size = model.network.config.vision_config.image_size
        clip = make_clip(family, seed, self.seconds, self.split)
        clip_annotations = annotate(clip, 1, size)
        seen = list(see(model, (clip.render(t, size) for t in range(clip_annotations.num_frames))))
        return watch_variants(model, clip_annotations, seen, self.settings)


def watch_clips(
    job: QuickEval, clips: Sequence[ClipKey], processes: int = 1
) -> Iterator[tuple[Watched, ...]]:
    """Watches clips in order, each with every setting; over several processes of one thread each."""
    yield from in_processes(job.watch, clips, processes)


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints one JSON line for each combination of settings."""
    options = _options(arguments)
    clips = list(product(options.families, options.seeds))
    job = QuickEval(options.model, options.split, options.seconds, tuple(_settings(options)))
    rows = []
    for done, row in enumerate(watch_clips(job, clips, options.processes), start=1):
        rows.append(row)
        sys.stderr.write(f"clip {done} of {len(clips)}\n")
    seeds = [options.seeds.start, options.seeds.stop]
    for settings, watched in zip(job.settings, zip(*rows, strict=True), strict=True):
        clip_settings = {"split": job.split.name.lower(), "seconds": job.seconds, "seeds": seeds}
        line = settings.summary() | clip_settings | report(watched)
        sys.stdout.write(json.dumps(line) + "\n")


def _settings(options: Namespace) -> Iterator[WatchSettings]:
    """Every alpha with every memory at every budget; what keeps everything has no budget, and comes once."""
    default = WatchSettings(tasks=frozenset(options.tasks), query_below=options.query_below)
    question_gate = None if options.question_alpha is None else GateSettings(options.question_alpha)
    for memory, alpha in product(options.memory, options.alpha):
        keeps = memory is MemoryChoice.KEEP_EVERYTHING
        for tokens in [max(options.max_trunk_tokens)] if keeps else options.max_trunk_tokens:
            stream = replace(
                default.stream, mode=options.mode, gate=GateSettings(alpha), max_trunk_tokens=tokens
            )
            yield replace(default, stream=stream, question_gate=question_gate, memory=memory)


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
    add(
        "--query-below",
        type=float,
        help="NLL below which a query holds; two levels over the clip when left out",
    )
    add("--memory", type=MemoryChoice, nargs="+", choices=list(MemoryChoice), metavar="NAME",
        default=[MemoryChoice.TOKEN_BUDGET], help=f"what forgets, a line each: {', '.join(MemoryChoice)}")  # fmt: skip
    add("--max-trunk-tokens", type=int, nargs="+", default=[6000], help="budgets of the memory, a line each")
    add("--mode", type=Mode, default=Mode.BRANCH, choices=list(Mode),
        help="as trained, or as published (no fdq and no otg)")  # fmt: skip
    add("--tasks", type=Task, nargs="+", choices=list(Task), default=list(Task), help="what to score")
    add("--processes", type=int, default=1, help="of one thread each")
    options = parser.parse_args(arguments)
    try:
        tuple(_settings(options))
    except ValueError as error:
        parser.error(str(error))
    return options


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
