"""One training run, from settings to a folder with a checkpoint; the command line is `train`."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, IterableDataset
from transformers import TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback
from transformers.trainer_utils import get_last_checkpoint

from livestar.core.errors import CheckpointError, InvalidInput
from livestar.model import ChatTemplate, LiveStarModel, Tokenizer, load_model, random_model
from livestar.synth import Split
from livestar.training.batch import Batch, Collate, ShownSample
from livestar.training.heldout import Heldout
from livestar.training.journal import Journal
from livestar.training.lora import add_lora, merged
from livestar.training.network import Freezable, TrainingNetwork
from livestar.training.omnistar_dataset import OmniStarDialogues
from livestar.training.packing import Packer
from livestar.training.presets import nano_config, write_nano_tokenizer
from livestar.training.progress import Clock, Plan, Spent
from livestar.training.saving import copy_tokenizer, save_model
from livestar.training.scam import ScamVariant
from livestar.training.synthstar_dataset import ClipSource, Stream, SynthStarWindows
from livestar.training.synthstar_windows import WindowSettings
from livestar.training.trainer import LiveStarTrainer


@dataclass(frozen=True)
class Optimisation:
    """How the weights move. Source of the defaults: LiveStar (arXiv 2511.05299), training settings; `nano` wants 1e-3."""

    lr: float = 4e-5
    weight_decay: float = 0.05
    beta2: float = 0.999
    max_grad_norm: float = 1.0
    accumulate: int = 1
    freeze: tuple[Freezable, ...] = ()
    lora_rank: int = 0
    gradient_checkpointing: bool = False


@dataclass(frozen=True)
class Data:
    """What is learned from.

    `omnistar` is a conversation file, its pictures under `omnistar_root`; without it, SynthStar is rendered on the fly.
    """

    families: tuple[str, ...] = ()
    omnistar: Path | None = None
    omnistar_root: Path | None = None
    windows: WindowSettings = field(default_factory=WindowSettings)
    reuse: int = 1
    variant: ScamVariant = "paper"
    max_tokens: int = 2048
    batch_size: int = 32
    workers: int = 2


@dataclass(frozen=True)
class Machine:
    """How it is computed; None leaves the choice to what is there."""

    device: Literal["cuda", "cpu"] | None = None
    attention: Literal["flex", "dense"] | None = None
    compiled: bool | None = None
    bf16: bool | None = None

    @property
    def on_gpu(self) -> bool:
        """Whether a GPU computes."""
        return torch.cuda.is_available() if self.device is None else self.device == "cuda"


@dataclass(frozen=True)
class Run:
    """A run.

    Attributes:
        out_dir: gets model/ (the checkpoint), state/ (to resume from), metrics.jsonl and loss.png.
        plan: when it ends.
        init_from: checkpoint folder with the first weights and the tokenizer; None starts `nano` from nothing.
        resume: folder of an earlier run, which goes on where it stopped.
        seed: of weights and data.
        log_every: steps.
        eval_every: steps; 0 leaves validation out.
        save_every: steps between saved states; 0 saves only at the end.
        max_shard_mb: largest file of the checkpoint, in 10^6 bytes.
    """

    out_dir: Path
    plan: Plan
    init_from: Path | None = None
    resume: Path | None = None
    seed: int = 0
    log_every: int = 20
    eval_every: int = 500
    save_every: int = 0
    max_shard_mb: float = 4000.0
    optimisation: Optimisation = field(default_factory=Optimisation)
    data: Data = field(default_factory=Data)
    machine: Machine = field(default_factory=Machine)


def freezable(names: Iterable[str]) -> tuple[Freezable, ...]:
    """Names of parts that may be frozen.

    Raises:
        InvalidInput: there is no such part.
    """
    parts: dict[str, Freezable] = {"vision": "vision", "projector": "projector", "language": "language"}
    if unknown := [name for name in names if name not in parts]:
        raise InvalidInput(f"there is no part {unknown[0]!r} to freeze: choose from {', '.join(parts)}")
    return tuple(parts[name] for name in names)


def train(run: Run) -> dict[str, float]:
    """Trains, and leaves the checkpoint in `out_dir`/model.

    Returns:
        The last validation's figures, and `steps`.

    Raises:
        CheckpointError: a folder to start from does not fit.
    """
    model_dir = run.out_dir / "model"
    network = _first_weights(run, model_dir)
    state = _last_state(run.resume) if run.resume else None
    clock = Clock(run.plan, Spent.read(state) if state else Spent())
    trainer = _trainer(run, network, clock, first_step=int(state.name.split("-")[-1]) if state else 0)
    with _full_speed(run.machine):
        trainer.train(resume_from_checkpoint=str(state) if state else None)
        figures = trainer.last_figures()
    if trainer.is_world_process_zero():
        network = merged(network) if run.optimisation.lora_rank else network
        save_model(network, model_dir, model_dir, max_shard_mb=run.max_shard_mb)
    return {**figures, "steps": float(trainer.state.global_step)}


def _first_weights(run: Run, model_dir: Path) -> LiveStarModel:
    if run.init_from:
        copy_tokenizer(run.init_from, model_dir)
        network = load_model(run.init_from, dtype=torch.float32)
    else:
        if run.resume:
            copy_tokenizer(run.resume / "model", model_dir)
        else:
            write_nano_tokenizer(model_dir)
        network = random_model(nano_config(), run.seed)
    Tokenizer.from_directory(model_dir).check_fits(network.config)
    if run.optimisation.gradient_checkpointing:
        network.gradient_checkpointing_enable()  # type: ignore[no-untyped-call]
    if run.optimisation.lora_rank:
        network = add_lora(network, run.optimisation.lora_rank)
    network.train()
    return network


def _last_state(directory: Path) -> Path:
    found = get_last_checkpoint(str(directory / "state")) if (directory / "state").is_dir() else None
    if found is None:
        raise CheckpointError(f"{directory} holds no state to resume from.")
    return Path(found)


def _trainer(run: Run, network: LiveStarModel, clock: Clock, first_step: int) -> LiveStarTrainer:
    machine, optimisation = run.machine, run.optimisation
    on_gpu = machine.on_gpu
    learner = TrainingNetwork(
        network,
        fused_attention=on_gpu if machine.attention is None else machine.attention == "flex",
        compiled=on_gpu if machine.compiled is None else machine.compiled,
        frozen=optimisation.freeze,
    )
    arguments = _arguments(run)
    stream = Stream(
        run.data.batch_size,
        seed=run.seed,
        first_batch=first_step * optimisation.accumulate,
        rank=arguments.process_index,
        num_ranks=arguments.world_size,
    )
    heldout = Heldout(_heldout_batches(run)) if run.eval_every else None
    loader = _loader(run, _dataset(run, Split.TRAIN, stream), run.data.workers)
    trainer = LiveStarTrainer(learner, arguments, loader, clock, heldout)
    bar = sys.stderr.isatty()
    trainer.remove_callback(PrinterCallback)
    if not bar:
        trainer.remove_callback(ProgressCallback)
    trainer.add_callback(Journal(run.out_dir, quiet=bar))
    return trainer


def _arguments(run: Run) -> TrainingArguments:
    machine, optimisation = run.machine, run.optimisation
    return TrainingArguments(
        output_dir=str(run.out_dir / "state"),
        per_device_train_batch_size=run.data.batch_size,
        gradient_accumulation_steps=optimisation.accumulate,
        max_steps=run.plan.max_steps or 10**9,
        learning_rate=optimisation.lr,
        weight_decay=optimisation.weight_decay,
        adam_beta2=optimisation.beta2,
        max_grad_norm=optimisation.max_grad_norm,
        optim="adamw_torch_fused" if machine.on_gpu else "adamw_torch",
        bf16=machine.on_gpu if machine.bf16 is None else machine.bf16,
        use_cpu=not machine.on_gpu,
        logging_steps=run.log_every,
        logging_first_step=True,
        # It would wait for the device at every step.
        logging_nan_inf_filter=False,
        eval_strategy="steps" if run.eval_every else "no",
        eval_steps=run.eval_every or None,
        save_strategy="steps" if run.save_every else "no",
        save_steps=run.save_every or 500,
        save_total_limit=1,
        report_to="none",
        remove_unused_columns=False,
        ignore_data_skip=True,
        seed=run.seed,
        ddp_find_unused_parameters=False,
    )


def _dataset(run: Run, split: Split, stream: Stream) -> IterableDataset[ShownSample]:
    data, model_dir = run.data, run.out_dir / "model"
    template = ChatTemplate.from_directory(model_dir)
    packer = Packer(template, variant=data.variant, max_tokens=data.max_tokens)
    size = _image_size(run)
    if data.omnistar:
        return OmniStarDialogues(
            packer, data.omnistar, data.omnistar_root or data.omnistar.parent, size, stream
        )
    source = ClipSource(data.families, split, size, reuse=data.reuse if split is Split.TRAIN else 1)
    return SynthStarWindows(packer, source, data.windows, stream)


def _image_size(run: Run) -> int:
    from livestar.model import read_config

    config = read_config(run.init_from) if run.init_from else nano_config()
    return int(config.vision_config.image_size)


def _loader(run: Run, dataset: IterableDataset[ShownSample], workers: int) -> DataLoader[Any]:
    tokenizer = Tokenizer.from_directory(run.out_dir / "model")
    fixed = None if run.data.omnistar else run.data.max_tokens
    return DataLoader(
        dataset,
        batch_size=run.data.batch_size,
        num_workers=workers,
        collate_fn=Collate(tokenizer.img_context_id, tokenizer.im_end_id, fixed),
        pin_memory=run.machine.on_gpu,
        persistent_workers=workers > 0,
        prefetch_factor=2 if workers else None,
    )


def _heldout_batches(run: Run) -> list[Batch]:
    """Two batches of validation clips, the same at every run."""
    stream = Stream(run.data.batch_size, seed=0)
    return list(islice(_loader(run, _dataset(run, Split.VAL, stream), 0), 2))


@contextmanager
def _full_speed(machine: Machine) -> Iterator[None]:
    """TF32 for what autocast leaves in float32."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high" if machine.on_gpu else before)
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
