"""Trains language models of several methods side by side, on exactly the same windows: `python -m livestar.training.compare`.

All of them start from the same weights, take the same steps at the same learning rate, and look through the same frozen
vision tower and projector, those of `--init`. Every picture is drawn and encoded once a step. Leaves a checkpoint folder a
method, `DIR/<method>/`, with what it is in `method.json`, and the losses in `DIR/metrics.jsonl`.
"""

from __future__ import annotations

import json
import resource
import sys
import time
from argparse import ArgumentDefaultsHelpFormatter, ArgumentParser, BooleanOptionalAction, Namespace
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from livestar.core.errors import InvalidInput, LiveStarError
from livestar.model import ChatTemplate, LiveStarModel, Tokenizer, load_model, random_model
from livestar.model.language import LanguageModel
from livestar.synth import families
from livestar.training.batch import BLOCK, Collate
from livestar.training.compare_data import CompareCollate, ComparedBatch, ComparedWindows
from livestar.training.compare_journal import CompareJournal, Stopwatch
from livestar.training.compare_learner import Learner, read
from livestar.training.methods import METHODS, Method, chosen
from livestar.training.network import TrainingNetwork
from livestar.training.saving import save_model
from livestar.training.synthstar_dataset import ClipSource, Stream
from livestar.training.synthstar_windows import WindowSettings

METHOD_FILE = "method.json"
MAX_COMPILED = 64
"""Forms of one function that may be compiled; the default falls back to slow code silently after eight."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Trains and saves.

    Raises:
        LiveStarError: the options do not fit each other or the checkpoint.
    """
    began_s = time.monotonic()
    options = _options(arguments)
    methods = chosen(options.methods)
    if options.max_tokens % BLOCK:
        raise InvalidInput(f"--max-tokens is a multiple of {BLOCK}, not {options.max_tokens}")
    options.out.mkdir(parents=True, exist_ok=True)
    _let_many_files_be_open()
    # Workers start, and render, before the device is touched.
    batches = iter(_loader(options, methods))
    network = load_model(options.init, dtype=torch.float32).to(options.device).eval()
    learners = _learners(options, methods, network)
    watch = Stopwatch(options.minutes, options.max_steps, options.warmup, began_s)
    journal = CompareJournal(options.out, [method.name for method in methods], options.log_every)
    try:
        _train(options, network, learners, batches, watch, journal)
    finally:
        del batches
        journal.write(watch)
        for learner in learners:
            _save(options, network, learner, watch, journal)
        journal.plot()


def _train(
    options: Namespace,
    network: LiveStarModel,
    learners: Sequence[Learner],
    batches: Iterator[ComparedBatch],
    watch: Stopwatch,
    journal: CompareJournal,
) -> None:
    look = _look(options, network)
    while not watch.is_over:
        waits_s = time.monotonic()
        batch = next(batches)
        journal.waited_s += time.monotonic() - waits_s
        visual_RD = look(batch["frames_FHW3"].to(options.device, non_blocking=True))
        rate = watch.rate
        losses = []
        for learner in learners:
            mine = batch["methods"][learner.method.name]
            moved = {name: x.to(options.device, non_blocking=True) for name, x in mine.items()}
            losses.append(learner.step(moved, visual_RD, rate))
        watch.stepped()
        journal.note(torch.stack(losses), watch)


def _look(options: Namespace, network: LiveStarModel) -> Callable[[Tensor], Tensor]:
    """Visual tokens [R, D] of pictures, without gradients."""
    see = TrainingNetwork(network).to(options.device).look
    see = torch.compile(see, dynamic=False) if options.compiled else see

    def look(frames_FHW3: Tensor) -> Tensor:
        with (
            torch.no_grad(),
            torch.autocast(options.device, torch.bfloat16, enabled=options.device == "cuda"),
        ):
            return see(frames_FHW3).flatten(0, 1)

    return look


def _learners(options: Namespace, methods: Sequence[Method], network: LiveStarModel) -> list[Learner]:
    """Learners with equal weights, all served by one compiled function."""
    first = network if options.warm else random_model(network.config, options.seed)
    if options.device == "cuda":
        torch.set_float32_matmul_precision("high")
    if options.compiled:
        torch._dynamo.config.recompile_limit = MAX_COMPILED
    shared: Any = torch.compile(read, dynamic=False) if options.compiled else read

    def learner(method: Method) -> Learner:
        language: LanguageModel = deepcopy(first.language_model).to(options.device)
        return Learner(
            method,
            language.requires_grad_(requires_grad=True),
            lr=options.lr,
            weight_decay=options.weight_decay,
            read=shared,
            fused_attention=options.attention == "flex",
            autocast=options.device == "cuda",
        )

    return [learner(method) for method in methods]


def _loader(options: Namespace, methods: Sequence[Method]) -> DataLoader[Any]:
    tokenizer = Tokenizer.from_directory(options.init)
    windows = ComparedWindows(
        methods,
        ChatTemplate.from_directory(options.init, tokenizer),
        options.max_tokens,
        ClipSource(tuple(options.families), size=_image_size(options.init), reuse=options.reuse),
        _windows(options),
        Stream(options.batch_size, seed=options.seed),
        questions=options.questions,
    )
    collate = Collate(tokenizer.img_context_id, tokenizer.im_end_id, options.max_tokens)
    return DataLoader(
        windows,
        batch_size=options.batch_size,
        num_workers=options.workers,
        collate_fn=CompareCollate(methods, collate),
        pin_memory=options.device == "cuda",
        persistent_workers=options.workers > 0,
        prefetch_factor=2 if options.workers else None,
    )


def _windows(options: Namespace) -> WindowSettings:
    return WindowSettings(
        num_frames=options.num_frames,
        thinned=options.thinned,
        min_seconds=max(WindowSettings.min_seconds, options.num_frames + 1),
        max_seconds=max(WindowSettings.max_seconds, options.num_frames + 30),
    )


def _image_size(directory: Path) -> int:
    from livestar.model import read_config

    return int(read_config(directory).vision_config.image_size)


def _save(
    options: Namespace,
    network: LiveStarModel,
    learner: Learner,
    watch: Stopwatch,
    journal: CompareJournal,
) -> None:
    """The checkpoint of one method: the shared parts, and its own language model."""
    method, directory = learner.method, options.out / learner.method.name
    network.language_model = learner.language
    save_model(network, options.init, directory, max_shard_mb=options.max_shard_mb)
    windows = method.windows(_windows(options))
    described = {
        "method": method.name,
        "summary": method.summary,
        "steps": watch.steps,
        "minutes": round(watch.minutes, 2),
        "batch_size": options.batch_size,
        "max_tokens": options.max_tokens,
        "lr": options.lr,
        "seed": options.seed,
        "warm": options.warm,
        "questions": options.questions,
        "windows": asdict(windows),
        "losses": journal.last.get(method.name),
    }
    text = json.dumps(described, indent=1)
    (directory / METHOD_FILE).write_text(text + "\n", encoding="utf-8")


def _let_many_files_be_open() -> None:
    """Every tensor that a worker hands over is an open file until it has been copied."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 65_536 if hard == resource.RLIM_INFINITY else min(hard, 65_536)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def _options(arguments: Sequence[str] | None) -> Namespace:
    names = [info.name for info in families()]
    on_gpu = torch.cuda.is_available()
    parser = ArgumentParser(
        prog="compare",
        description="Train language models of several methods on the same windows.",
        formatter_class=ArgumentDefaultsHelpFormatter,
    )
    add = parser.add_argument
    add("--init", type=Path, required=True, help="checkpoint folder: vision, projector, tokenizer, template")
    add("--out", type=Path, required=True, help="folder of the run")
    add("--methods", nargs="+", default=list(METHODS), metavar="NAME", help="which ones")
    add("--minutes", type=float, default=6.0, help="stop after as many, start and compilation included")
    add("--max-steps", type=int, help="stop after as many steps")
    add("--warm", action="store_true", help="start from the language model of --init")
    add("--questions", action="store_true", help="train answers to questions as well")
    add("--families", nargs="+", choices=names, default=names, metavar="NAME", help="which ones")
    add("--num-frames", type=int, default=28, help="frames of a window")
    add("--thinned", type=float, default=0.0, help="share of windows after a long, mostly forgotten past")
    add("--max-tokens", type=int, default=1536, help="length of every sequence")
    add("--batch-size", type=int, default=32, help="windows of a step")
    add("--reuse", type=int, default=1, help="windows made from one rendering")
    add("--workers", type=int, default=2, help="processes that make data")
    add("--lr", type=float, default=1e-3, help="at the peak")
    add("--warmup", type=float, default=0.03, help="share of training in which the learning rate rises")
    add("--weight-decay", type=float, default=0.05, help="of matrices")
    add("--seed", type=int, default=0, help="of weights and data")
    add("--log-every", type=int, default=20, help="steps")
    add("--max-shard-mb", type=float, default=15.0, help="largest weights file, in 10^6 bytes")
    add("--device", choices=("cuda", "cpu"), default="cuda" if on_gpu else "cpu", help="where")
    add("--attention", choices=("flex", "dense"), help="flex on a GPU, dense on a CPU when left out")
    add("--compile", dest="compiled", action=BooleanOptionalAction, help="on a GPU when left out")
    options = parser.parse_args(arguments)
    if options.attention is None:
        options.attention = "flex" if options.device == "cuda" else "dense"
    if options.compiled is None:
        options.compiled = options.device == "cuda"
    return options


if __name__ == "__main__":
    try:
        main()
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
