"""The training command: `livestar train`, or `python -m livestar.training.train`."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated, Literal

import typer
from typer import Option

from livestar.core.errors import LiveStarError


def train(
    out: Annotated[Path, Option(help="Folder of the run: model/, state/, metrics.jsonl, loss.png.")],
    preset: Annotated[Literal["nano"] | None, Option(help="Start this network from nothing.")] = None,
    init_from: Annotated[
        Path | None, Option(help="Start from the weights of this checkpoint folder.")
    ] = None,
    resume: Annotated[Path | None, Option(help="Go on with the run of this folder.")] = None,
    max_steps: Annotated[int | None, Option(help="End after as many steps in all.")] = None,
    minutes: Annotated[float | None, Option(help="Stop this run after as many minutes, and save.")] = None,
    horizon_minutes: Annotated[
        float | None,
        Option(help="End after as many minutes in all, resumed runs included [default: --minutes]."),
    ] = None,
    lr: Annotated[
        float | None, Option(help="Peak learning rate [default: 1e-3 for nano, else 4e-5].")
    ] = None,
    warmup: Annotated[float, Option(help="Share of training in which the learning rate rises.")] = 0.03,
    weight_decay: Annotated[float, Option(help="Of AdamW.")] = 0.05,
    beta2: Annotated[float, Option(help="Of AdamW.")] = 0.999,
    accumulate: Annotated[int, Option(help="Batches per step.")] = 1,
    freeze: Annotated[
        list[str] | None, Option(help="vision, projector or language; may be repeated.")
    ] = None,
    lora_rank: Annotated[int, Option(help="Train adapters of this rank instead of the language model.")] = 0,
    gradient_checkpointing: Annotated[bool, Option(help="Trade time for memory.")] = False,
    family: Annotated[
        list[str] | None, Option(help="SynthStar family; may be repeated [default: all].")
    ] = None,
    omnistar: Annotated[
        Path | None, Option(help="OmniStar's conversations (.jsonl) instead of SynthStar.")
    ] = None,
    omnistar_root: Annotated[Path | None, Option(help="Folder of its pictures [default: beside it].")] = None,
    num_frames: Annotated[int, Option(help="Frames of a SynthStar window.")] = 28,
    thinned: Annotated[float, Option(help="Share of windows after a long, mostly forgotten past.")] = 0.4,
    paraphrased: Annotated[float, Option(help="Share of captions told in other words.")] = 0.0,
    queried: Annotated[
        float, Option(help="Share of captions told as a sentence of its own, for grounding.")
    ] = 0.0,
    late: Annotated[float, Option(help="Share of the trunk's clips that end late.")] = 0.0,
    doubled: Annotated[
        float, Option(help="Share of frames at which a clip ends though its event goes on.")
    ] = 0.0,
    misheard: Annotated[
        float, Option(help="Share of the trunk's captions that tell another event of the video.")
    ] = 0.0,
    reuse: Annotated[int, Option(help="Windows made from one rendering.")] = 1,
    variant: Annotated[Literal["paper", "released"], Option(help="Form of SCAM.")] = "paper",
    max_tokens: Annotated[int, Option(help="Length of a sequence.")] = 2048,
    batch_size: Annotated[int, Option(help="Sequences per batch and GPU.")] = 32,
    workers: Annotated[int, Option(help="Processes that make data.")] = 2,
    device: Annotated[
        Literal["cuda", "cpu"] | None, Option(help="[default: the GPU if there is one]")
    ] = None,
    attention: Annotated[
        Literal["flex", "dense"] | None, Option(help="[default: flex on a GPU, dense on a CPU]")
    ] = None,
    compiled: Annotated[
        bool | None, Option("--compile/--no-compile", help="torch.compile [default: on a GPU]")
    ] = None,
    seed: Annotated[int, Option(help="Of weights and data.")] = 0,
    log_every: Annotated[int, Option(help="Steps.")] = 20,
    eval_every: Annotated[int, Option(help="Steps; 0 leaves validation out.")] = 500,
    save_every: Annotated[int, Option(help="Steps between saved states; 0 saves at the end only.")] = 0,
    max_shard_mb: Annotated[float, Option(help="Largest weights file, in 10^6 bytes.")] = 4000.0,
) -> None:
    """Train a LiveStar model on SynthStar, rendered on the fly, or on OmniStar's conversations."""
    from livestar.training import run as runs
    from livestar.training.boundaries import Boundaries
    from livestar.training.progress import Plan
    from livestar.training.synthstar_windows import WindowSettings

    if not (preset or init_from or resume):
        raise typer.BadParameter("give --preset, --init-from or --resume")
    done = runs.train(
        runs.Run(
            out_dir=out,
            plan=Plan(
                max_steps,
                minutes,
                horizon_minutes or (minutes if max_steps is None else None),
                warmup,
            ),
            init_from=init_from,
            resume=resume,
            seed=seed,
            log_every=log_every,
            eval_every=eval_every,
            save_every=save_every,
            max_shard_mb=max_shard_mb,
            optimisation=runs.Optimisation(
                lr=lr or (4e-5 if init_from else 1e-3),
                weight_decay=weight_decay,
                beta2=beta2,
                accumulate=accumulate,
                freeze=runs.freezable(freeze or ()),
                lora_rank=lora_rank,
                gradient_checkpointing=gradient_checkpointing,
            ),
            data=runs.Data(
                families=tuple(family or ()),
                omnistar=omnistar,
                omnistar_root=omnistar_root,
                windows=WindowSettings(
                    num_frames=num_frames,
                    thinned=thinned,
                    paraphrased=paraphrased,
                    queried=queried,
                    boundaries=Boundaries(late, doubled, misheard),
                ),
                reuse=reuse,
                variant=variant,
                max_tokens=max_tokens,
                batch_size=batch_size,
                workers=workers,
            ),
            machine=runs.Machine(device, attention, compiled),
        )
    )
    sys.stdout.write(json.dumps(done) + "\n")


if __name__ == "__main__":
    try:
        typer.run(train)
    except LiveStarError as error:
        sys.exit(f"livestar: {error}")
