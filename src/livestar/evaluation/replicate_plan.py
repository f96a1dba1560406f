"""The commands that measure what a replication report needs, at two scales."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from livestar.evaluation import replication_results as files
from livestar.training.compare import METHOD_FILE
from livestar.training.journal import METRICS_FILE
from livestar.training.methods import METHODS


class Scale(StrEnum):
    """How much is measured.

    SMALL shows in about a quarter of an hour on two cores that everything runs; its figures prove nothing. FULL is what the
    published report was measured with: the training wants a GPU, the rest an hour of CPU or more.
    """

    SMALL = "small"
    FULL = "full"


@dataclass(frozen=True)
class Step:
    """A command and the file that is there when it has been done.

    Attributes:
        command: program and arguments.
        leaves: the file.
        prints: whether the file is what the command prints.
    """

    command: tuple[str, ...]
    leaves: Path
    prints: bool

    @property
    def line(self) -> str:
        """For people, and for a shell."""
        words = ["python" if word == sys.executable else word for word in self.command]
        return " ".join([*words, *([">", str(self.leaves)] if self.prints else [])])


@dataclass(frozen=True)
class Place:
    """Where everything lies.

    Attributes:
        model: checkpoint folder that is measured.
        init: checkpoint folder through whose eyes the compared methods look.
        out: folder of the run, the results and the report.
        processes: of one thread each.
    """

    model: Path
    init: Path
    out: Path
    processes: int

    @property
    def results(self) -> Path:
        """Folder of the measurements."""
        return self.out / "results"

    @property
    def run(self) -> Path:
        """Folder of the trained methods."""
        return self.out / "run"


TRAINED = {Scale.SMALL: ("scam-paper", "scam-jitter", "eos", "causal"), Scale.FULL: tuple(METHODS)}
"""The methods, in the order in which they are saved."""

TRAINING = {
    Scale.SMALL: "--warm --minutes 4 --max-steps 40 --batch-size 2 --num-frames 16 --max-tokens 896 "
    "--workers 1 --lr 3e-4 --log-every 2",
    Scale.FULL: "--minutes 5.8 --reuse 2 --batch-size 24 --num-frames 60 --max-tokens 3328 --workers 15 --lr 1e-3 --log-every 50",
}
BASELINES = {
    Scale.SMALL: "--val-seeds 0:1 --test-seeds 0:1 --seconds 20 --families traffic kitchen "
    "--alphas 1.15 1.3 --thresholds 0.5 0.3",
    Scale.FULL: "--val-seeds 0:1 --test-seeds 0:2 --seconds 60 --alphas 1.15 1.3 1.05 1.6 --thresholds 0.5 0.3 0.7 0.9",
}
ASKED = "--alpha 1.25 --question-alpha 2"
BOUNDED = "--max-trunk-tokens 1400"
NARRATED = f"--split test --tasks rng {BOUNDED}"
REMEMBERED = f"--split test --tasks rng coq {ASKED}"
QUICK = {
    Scale.SMALL: {
        files.VALIDATION: f"--split val --seeds 0:1 --seconds 20 --tasks rng --alpha 1.07 1.25 1.6 {BOUNDED}",
        files.TEST: f"--split test --seeds 0:1 --seconds 30 {ASKED} --query-below 0.4 {BOUNDED}",
        files.ALPHA: f"{NARRATED} --seeds 0:1 --seconds 30 --families traffic kitchen --alpha 1.0 1.03 1.07 1.25 1.5 3",
        files.REFERENCE: f"{NARRATED} --seeds 0:1 --seconds 30 --families traffic kitchen --mode reference --alpha 1.03 1.25",
        files.MEMORY_300: f"{REMEMBERED} --seeds 10:11 --seconds 60 --families traffic kitchen --max-trunk-tokens 300 "
        "--memory token-budget peak-end uniform fifo random",
        files.MEMORY_600: f"{REMEMBERED} --seeds 20:21 --seconds 120 --families kitchen --max-trunk-tokens 600 "
        "--memory token-budget peak-end uniform fifo keep-everything",
    },
    Scale.FULL: {
        files.VALIDATION: f"--split val --seeds 0:3 --seconds 45 --tasks rng --alpha 1.07 1.15 1.25 1.4 1.6 {BOUNDED}",
        files.TEST: f"--split test --seeds 0:4 --seconds 60 {ASKED} --query-below 0.4 {BOUNDED}",
        files.ALPHA: f"{NARRATED} --seeds 0:2 --seconds 60 "
        "--alpha 1.0 1.01 1.03 1.05 1.07 1.1 1.15 1.2 1.25 1.3 1.5 2 3 5",
        files.REFERENCE: f"{NARRATED} --seeds 0:2 --seconds 60 --mode reference --alpha 1.0 1.03 1.07 1.15 1.3 2",
        files.MEMORY_300: f"{REMEMBERED} --seeds 10:11 --seconds 300 --max-trunk-tokens 300 600 "
        "--memory token-budget peak-end uniform fifo random",
        files.MEMORY_600: f"{REMEMBERED} --seeds 20:21 --seconds 600 {BOUNDED} "
        "--memory token-budget peak-end uniform fifo keep-everything",
    },
}
"""Options of quick_eval for every file that it prints."""


def plan(scale: Scale, place: Place) -> list[Step]:
    """All commands in order: training first, the report comes after them."""
    results, run = place.results, place.run
    report = results / files.BASELINES
    processes = ("--processes", str(place.processes))

    def python(module: str, *arguments: str) -> tuple[str, ...]:
        return (sys.executable, "-m", f"livestar.{module}", *arguments)

    def quick(options: str) -> tuple[str, ...]:
        return python("evaluation.quick_eval", "--model", str(place.model), *options.split(), *processes)

    trained = results / files.TRAINING
    methods = TRAINED[scale]
    train = ("--init", str(place.init), "--out", str(run), "--methods", *methods, *TRAINING[scale].split())
    watch = ("--run", str(run), "--out", str(report), *BASELINES[scale].split(), *processes)
    return [
        Step(python("training.compare", *train), run / methods[-1] / METHOD_FILE, prints=False),
        Step(("cat", str(run / METRICS_FILE)), trained, prints=True),
        Step(python("evaluation.baseline_eval", *watch), report, prints=False),
        Step(python("evaluation.baseline_spread", str(report)), results / files.SPREAD, prints=True),
        *(Step(quick(options), results / name, prints=True) for name, options in QUICK[scale].items()),
    ]
