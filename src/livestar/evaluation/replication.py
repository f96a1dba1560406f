"""The replication report from measurements: `python -m livestar.evaluation.replication --help`.

Writes tables into a Markdown document between markers, pictures, and summary.json: every claim, its figure, whether it was met.
Computes nothing anew: `livestar.evaluation.replicate` runs what measures.
"""

from __future__ import annotations

import json
import os
import sys
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, Namespace
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from livestar.core.errors import LiveStarError
from livestar.evaluation import replication_plots as plots
from livestar.evaluation import replication_tables as tables
from livestar.evaluation.replication_document import put
from livestar.evaluation.replication_results import (
    ALPHA,
    BASELINES,
    MEMORY_300,
    MEMORY_600,
    REFERENCE,
    TEST,
    TRAINING,
    VALIDATION,
    Results,
)
from livestar.evaluation.replication_targets import plateau, targets

SUMMARY = "summary.json"


@dataclass(frozen=True)
class Section:
    """A table of the report.

    Attributes:
        name: in its markers.
        title: its heading, where the document has none yet.
        needs: the files without which it is left out.
        table: makes it.
    """

    name: str
    title: str
    needs: tuple[str, ...]
    table: Callable[[Results], str]


@dataclass(frozen=True)
class Picture:
    """A plot of the report.

    Attributes:
        section: below whose table it stands.
        file: its name.
        caption: says what it shows to those who do not see it.
        needs: files of which at least one must be there.
        draw: draws it.
    """

    section: str
    file: str
    caption: str
    needs: tuple[str, ...]
    draw: Callable[[Results, Path], None]


SECTIONS = (
    Section("targets", "Every claim", (), tables.targets_table),
    Section("nano", "livestar-nano by family", (TEST,), tables.nano_table),
    Section("novelty", "livestar-nano by what is new", (TEST,), tables.novelty_table),
    Section("validation", "The gate on validation clips", (VALIDATION,), tables.validation_table),
    Section("training", "Training of the methods", (TRAINING,), tables.training_table),
    Section("baselines", "Methods, trained side by side", (BASELINES,), tables.baselines_table),
    Section("margins", "Margins", (BASELINES,), tables.margins_table),
    Section("variants", "Forms of SCAM", (BASELINES,), tables.variants_table),
    Section("alpha", "Sensitivity of the gate", (ALPHA,), tables.alpha_table),
    Section("modes", "Mode branch beside mode reference", (ALPHA, REFERENCE), tables.modes_table),
    Section("memory-300", "Memories at tight budgets", (MEMORY_300,), tables.memory_300_table),
    Section("memory-600", "Memories against keeping everything", (MEMORY_600,), tables.memory_600_table),
)
PICTURES = (
    Picture("training", "training.png", "losses of the methods over the steps", (TRAINING,), plots.plot_training),
    Picture("baselines", "baselines.png", "SemCor against TimDiff, and a bar for every method", (BASELINES,),
            plots.plot_baselines),
    Picture("alpha", "alpha.png", "scores over alpha in both modes", (ALPHA, REFERENCE), plots.plot_alpha),
    Picture("memory-600", "memory.png", "scores of memories at equal budgets", (MEMORY_300, MEMORY_600),
            plots.plot_memory),
)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the report, and says which measurements are missing.

    Raises:
        LiveStarError: a file is damaged, the document's markers are, or matplotlib is missing.
    """
    options = _options(arguments)
    results = Results.read(options.results)
    document: Path = options.document or options.out.with_name(f"{options.out.name}.md")
    text = document.read_text(encoding="utf-8") if document.is_file() else "# Replication\n"
    options.out.mkdir(parents=True, exist_ok=True)
    for picture in PICTURES:
        if any(results.of(name) for name in picture.needs):
            picture.draw(results, options.out / picture.file)
    folder = Path(os.path.relpath(options.out, document.parent))
    for section in SECTIONS:
        text = put(text, section.name, section.title, _body(section, results, folder))
    document.write_text(text, encoding="utf-8")
    _summarize(results, options.out / SUMMARY)
    _say(results, document)


def _body(section: Section, results: Results, folder: Path) -> str:
    """The table, or what it lacks, and the picture."""
    lacks = [name for name in section.needs if not results.of(name)]
    parts = [f"Not measured: there is no `{'`, no `'.join(lacks)}`." if lacks else section.table(results)]
    parts += [
        f"![{picture.caption}]({(folder / picture.file).as_posix()})"
        for picture in PICTURES
        if picture.section == section.name and any(results.of(name) for name in picture.needs)
    ]
    return "\n\n".join(parts)


def _summarize(results: Results, path: Path) -> None:
    found = [target.as_json() for target in targets(results)]
    summary = {
        "met": sum(target["met"] is True for target in found),
        "not_met": [f"{target['claim']}: {target['what']}" for target in found if target["met"] is False],
        "not_measured": [f"{target['claim']}: {target['what']}" for target in found if target["met"] is None],
        "plateau": plateau(results.of(ALPHA)),
        "missing_files": results.missing,
        "targets": found,
    }
    path.write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")


def _say(results: Results, document: Path) -> None:
    counts = [target.met for target in targets(results)]
    lines = [f"missing, left out: {name}" for name in results.missing]
    lines.append(
        f"{document}: {counts.count(True)} claims met, {counts.count(False)} not met, {counts.count(None)} not measured"
    )
    sys.stdout.write("\n".join(lines) + "\n")


def _options(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(
        prog="replication",
        description="Write the replication report from measurements.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--results", type=Path, required=True, help="folder of the measurements")
    add("--out", type=Path, required=True, help="folder of the pictures and of summary.json")
    add("--document", type=Path, help="Markdown with the markers; OUT.md beside OUT when left out")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    try:
        main()
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
