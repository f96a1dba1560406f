"""Hugging Face's Trainer, with LiveStar's loss, a learning rate that follows the clock, and figures about its speed."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments

from livestar.training.batch import NETWORK_INPUTS, Batch
from livestar.training.heldout import Heldout
from livestar.training.journal import Meter
from livestar.training.network import Scores, TrainingNetwork
from livestar.training.progress import Clock


class LiveStarTrainer(Trainer):
    """Trains a `TrainingNetwork` on batches of `Collate`.

    Args:
        model: the network.
        args: its `max_steps` bounds the run.
        loader: gives the batches of this process, beginning where training resumes; used as it is.
        clock: knows how far training has come.
        heldout: validation, run as `args` says; None leaves it out.
    """

    def __init__(
        self,
        model: TrainingNetwork,
        args: TrainingArguments,
        loader: DataLoader[Any],
        clock: Clock,
        heldout: Heldout | None = None,
    ) -> None:
        super().__init__(model=model, args=args, eval_dataset=heldout)
        # Without this the loss of every step would be divided as if it were a sum over tokens.
        self.model_accepts_loss_kwargs = False
        self.meter = Meter()
        self._loader, self._clock, self._heldout = loader, clock, heldout
        self._measured: tuple[int, dict[str, float]] | None = None
        self.add_callback(clock)

    def get_train_dataloader(self) -> DataLoader[Any]:
        """The loader, which already knows its share of the data."""
        return self._loader

    def create_scheduler(
        self,
        num_training_steps: int,  # noqa: ARG002 - the Trainer's signature
        optimizer: torch.optim.Optimizer | None = None,
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """Warm-up and cosine over the share of training that is done."""
        optimizer = self.optimizer if optimizer is None else optimizer
        assert optimizer is not None, "the optimizer is made before its schedule"
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: self._clock.rate(step))
        return self.lr_scheduler

    def get_batch_samples(
        self, epoch_iterator: Iterator[Batch], num_batches: int, device: torch.device
    ) -> tuple[list[Batch], Tensor | int | None]:
        """Fetches the batches of one step and notes how long that took."""
        began_s = time.monotonic()
        batches, num_items = super().get_batch_samples(epoch_iterator, num_batches, device)
        self.meter.waited_s += time.monotonic() - began_s
        self.meter.steps += 1
        self.meter.frames += sum(len(batch["frames_FHW3"]) for batch in batches)
        self.meter.tokens += sum(len(batch["targets_S"]) for batch in batches)
        return batches, num_items

    def _prepare_input(self, data: Any) -> Any:
        """Moves tensors without waiting: they come from pinned memory."""
        return (
            data.to(self.args.device, non_blocking=True)
            if isinstance(data, Tensor)
            else super()._prepare_input(data)
        )

    def compute_loss(
        self,
        model: nn.Module,
        inputs: Batch,
        return_outputs: bool = False,  # noqa: FBT001 - the Trainer's signature
        num_items_in_batch: Tensor | int | None = None,  # noqa: ARG002
    ) -> Any:
        """Mean over the scored tokens of the batch.

        Source: LiveStar (arXiv 2511.05299), published training code: every scored token weighs the same.
        """
        scores: Scores = model(**{name: inputs[name] for name in NETWORK_INPUTS})
        loss = scores.nll_S.mean()
        return (loss, scores) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Adds the rates to the training loss's line."""
        if "loss" in logs:
            logs |= self.meter.read()
        super().log(logs, start_time)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """Scores the held-out windows."""
        assert self._heldout is not None, "validation was not asked for"
        with torch.no_grad(), self.compute_loss_context_manager():
            figures = self._heldout.measure(self._score)
        self._measured = self.state.global_step, figures
        self.log(dict(figures))
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, figures)
        self.meter.restart()
        return figures

    def last_figures(self) -> dict[str, float]:
        """Scores of the held-out windows after the last step; empty without validation."""
        if self._heldout is None:
            return {}
        if self._measured is None or self._measured[0] != self.state.global_step:
            return self.evaluate()
        return self._measured[1]

    def _score(self, batch: Batch) -> Scores:
        _, scores = self.compute_loss(
            cast("nn.Module", self.model), self._prepare_inputs(batch), return_outputs=True
        )
        return cast("Scores", scores)
