"""Measures what the replication report needs, and writes it: `python -m livestar.evaluation.replicate`, or `make replicate`.

Prints the plan, runs what has left no result yet, one command after the other, and renders `OUT/report.md`. What was interrupted
goes on with the first result that is missing; delete a result to measure it again.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Sequence
from pathlib import Path

import torch

from livestar.core.errors import FailedPrecondition, LiveStarError
from livestar.evaluation import replication
from livestar.evaluation.replicate_plan import Place, Scale, Step, plan


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the plan.

    Raises:
        FailedPrecondition: the full training has no GPU, or a command fails.
    """
    options = _options(arguments)
    place = Place(options.model, options.init or options.model, options.out, options.processes)
    steps = plan(options.scale, place)
    _tell("\n".join(f"{k} of {len(steps)}: {step.line}" for k, step in enumerate(steps, start=1)))
    if options.plan:
        return
    if options.scale is Scale.FULL and not steps[0].leaves.exists() and not torch.cuda.is_available():
        raise FailedPrecondition(
            f"the full training needs a CUDA GPU: run the first command on a machine that has one, and copy its {place.run} here."
        )
    place.results.mkdir(parents=True, exist_ok=True)
    began_s = time.monotonic()
    for k, step in enumerate(steps, start=1):
        minutes = (time.monotonic() - began_s) / 60
        is_done = step.leaves.exists()
        _tell(
            f"[{minutes:.1f} min] {k} of {len(steps)}: {step.leaves} {'is there' if is_done else 'is measured'}"
        )
        if not is_done:
            do(step)
    report = place.out / "report.md"
    replication.main(
        ["--results", str(place.results), "--out", str(place.out / "report"), "--document", str(report)]
    )


def do(step: Step) -> None:
    """Runs a step; what it prints becomes the file only when it has succeeded.

    Raises:
        FailedPrecondition: it exits with an error.
    """
    if not step.prints:
        code = subprocess.run(step.command, check=False).returncode  # noqa: S603 - our own plan
    else:
        part = step.leaves.with_suffix(".part")
        with part.open("wb") as file:
            code = subprocess.run(step.command, check=False, stdout=file).returncode  # noqa: S603
        if code == 0:
            part.replace(step.leaves)
    if code:
        raise FailedPrecondition(
            f"this command ended with exit status {code}, mend it and go on: {step.line}"
        )


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="replicate",
        description="Measure what the replication report needs, and write it.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add(
        "--scale",
        type=Scale,
        choices=list(Scale),
        default=Scale.SMALL,
        help="a quarter of an hour on two cores, or everything",
    )
    add(
        "--out",
        type=Path,
        default=Path("build/replication"),
        help="folder of the run, the results and the report",
    )
    add("--model", type=Path, default=Path("models/livestar-nano"), help="checkpoint folder that is measured")
    add("--init", type=Path, help="checkpoint whose eyes the compared methods share; --model when left out")
    add("--processes", type=int, default=min(8, os.cpu_count() or 1), help="of one thread each")
    add("--plan", action="store_true", help="print the commands, and run none")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
