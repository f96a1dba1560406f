"""The parity checks that run the network: features, logits, the online loop, generation.

All in float32 on the CPU, through the same engine that serves streams.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import load_file

from livestar.core.decision import Action, Decision, Ending
from livestar.core.errors import BadAnnotation
from livestar.core.frame import EncodedFrame
from livestar.core.ids import FrameNumber, StreamId
from livestar.engine import Engine, EngineSettings, GateSettings, Mode, StreamSettings
from livestar.engine.gate import NS_PER_S
from livestar.engine.runner import Runner, penalise
from livestar.engine.speech import Speech, SpeechSettings, speak
from livestar.engine.steps import Steps, Task
from livestar.evaluation.parity import read_json, reading
from livestar.kv import Content, Sampling, Trunk, VisualSpan
from livestar.model import (
    DenseAttend,
    LoadedModel,
    merge_tokens,
    pixel_shuffle,
    read_image,
    resize_frame,
    to_pixels,
)

STREAM = StreamId("parity")

STAGES = {"pixel_values", "vision_hidden", "pixel_shuffled", "merged_tokens", "projected"}
"""What features.safetensors holds."""


def check_network(directory: Path) -> dict[str, Any]:
    """The fields of the parity report that need weights; empty when the folder has no checkpoint.

    Raises:
        CheckpointError: the checkpoint does not load.
        BadAnnotation: a golden file does not fit the frames.
    """
    if not any(directory.glob("*.safetensors.index.json")) and not (directory / "model.safetensors").exists():
        return {}
    network = _Network(directory)
    report: dict[str, Any] = {}
    if (path := directory / "features.safetensors").exists():
        with reading(path):
            report["features_max_abs_err"] = network.features_error(load_file(path))
    if (path := directory / "logits.safetensors").exists():
        with reading(path):
            report["logits_max_abs_err"] = network.logits_error(load_file(path))
    texts_equal: list[bool] = []
    if (path := directory / "sved_trace.json").exists():
        golden = read_json(path)
        with reading(path):
            traces = [network.replay(golden, trace) for trace in golden["traces"]]
            report["perplexity_max_rel_err"] = max(replay.perplexity_error for replay in traces)
            report["decisions_equal"] = all(replay.decisions_equal for replay in traces)
            texts_equal += [replay.texts_equal for replay in traces]
    if (path := directory / "generation.json").exists():
        with reading(path):
            texts_equal.append(network.generation_equal(read_json(path)))
    if texts_equal:
        report["generated_equal"] = all(texts_equal)
    return report


@dataclass
class Replay:
    """How one trace of the online loop compared.

    Attributes:
        perplexity_error: largest relative error of verification and self-check perplexities.
        decisions_equal: every step decided the same.
        texts_equal: every generated text was the same.
    """

    perplexity_error: float = 0.0
    decisions_equal: bool = True
    texts_equal: bool = True

    def compare(self, got: float, want: float) -> None:
        """Takes a perplexity in; a NaN counts as infinitely wrong.

        Raises:
            ValueError: the expected one is no perplexity.
        """
        if not want > 0:
            raise ValueError(f"{want} is no perplexity")
        error = abs(got - want) / want
        self.perplexity_error = max(self.perplexity_error, error if math.isfinite(error) else math.inf)


class _Network:
    """The checkpoint of a golden folder, and its frames as visual tokens."""

    def __init__(self, directory: Path) -> None:
        self._loaded = LoadedModel.from_directory(directory)
        self._model = self._loaded.network
        self._tokenizer, self._template = self._loaded.tokenizer, self._loaded.template
        self._paths = sorted((directory / "frames").glob("*.png"))
        self._encoded: dict[int, torch.Tensor] = {}

    def features_error(self, golden: Mapping[str, torch.Tensor]) -> float:
        """Largest absolute error over every stage of the vision path."""
        with torch.inference_mode():
            model, config = self._model, self._model.config
            if not len(golden["pixel_values"]) or not golden.keys() >= STAGES:
                raise ValueError(f"features need frames and {', '.join(sorted(STAGES))}")
            pixels = torch.cat([self._pixels(number) for number in range(1, len(golden["pixel_values"]) + 1)])
            hidden = model.vision_model(pixels)
            side = config.vision_config.grid_size
            shuffled = pixel_shuffle(hidden[:, 1:].unflatten(1, (side, side)))
            merged = merge_tokens(shuffled, config.llm_config.num_attention_heads)
            stages = {
                "pixel_values": pixels,
                "vision_hidden": hidden,
                "pixel_shuffled": shuffled,
                "merged_tokens": merged,
                "projected": model.mlp1(merged),
            }
        return max(_max_abs(stages[name], want) for name, want in golden.items() if name in stages)

    def logits_error(self, golden: Mapping[str, torch.Tensor]) -> float:
        """Largest absolute error of log-normaliser, top logits and the last row, by a full recompute."""
        content = self._spliced(golden["input_ids"].flatten().tolist(), frames=[1, 2])
        with torch.inference_mode():
            x = self._model.embed_tokens(torch.from_numpy(content.ids)).clone()
            for span in content.visuals:
                x[span.at : span.at + len(span.tokens_VD)] = span.tokens_VD
            hidden = self._model.hidden_states(x, torch.arange(len(content)), DenseAttend())
            logits = self._model.score(hidden)
        return max(
            _max_abs(logits.logsumexp(-1), golden["logsumexp"]),
            _max_abs(logits.gather(-1, golden["top8_ids"].long()), golden["top8_values"]),
            _max_abs(logits[-1], golden["logits_last"]),
        )

    def replay(self, golden: Mapping[str, Any], trace: Mapping[str, Any]) -> Replay:
        """Runs the online loop in mode `reference`, a frame at a time, with the published text round trip."""
        generation = golden["generation"]
        steps = {step["frame"]: step for step in trace["steps"]}
        if not steps or min(steps) < 1:
            raise ValueError("a trace has steps, and frames count from 1")
        replay, engine = Replay(), self._engine()
        current = 0

        def round_trip(ids: tuple[int, ...]) -> tuple[int, ...]:
            step = steps[current]
            if "generated" not in step:
                return ids
            replay.texts_equal &= self._tokenizer.decode(ids).strip() == step["generated"].strip()
            return tuple(self._tokenizer.encode_template(step["answer"]))

        engine.open_stream(
            STREAM,
            StreamSettings(
                mode=Mode.REFERENCE,
                gate=GateSettings(alpha=trace["alpha"]),
                task_prompt=golden["prompt"],
                frame_index_limit=None,
                max_caption_tokens=generation["max_new_tokens"],
                repetition_penalty=generation["repetition_penalty"],
                max_trunk_tokens=self._model.config.llm_config.max_position_embeddings // 2,
                max_open_questions=0,
                max_channels=0,
            ),
            revise=round_trip,
        )
        for number, step in sorted(steps.items()):
            current = number
            tokens = self._visual(number)
            engine.submit_frame(STREAM, EncodedFrame(FrameNumber(number), (number - 1) * NS_PER_S, tokens))
            [decision] = [event for event in engine.run_until_idle() if isinstance(event, Decision)]
            _compare_step(replay, decision, step)
        return replay

    def generation_equal(self, golden: Mapping[str, Any]) -> bool:
        """Greedy generation with and without penalty, another stop id, and the penalty alone."""
        if len(golden["penalty_1.05"]) < 2:
            raise ValueError("nothing was generated")
        stop = self._template.stop_id
        cases = [
            (golden["penalty_1.05"], 1.05, stop),
            (golden["penalty_1.0"], 1.0, stop),
            (golden["with_stop"], 1.05, golden["stop_id"]),
        ]
        equal = all(
            self._generate(golden["prompt_ids"], penalty, stop_id, limit=len(golden["penalty_1.05"]) - 1)
            == want[1:]
            for want, penalty, stop_id in cases
        )
        processor = golden["processor"]
        got = penalise(
            torch.tensor(processor["logits"]),
            Sampling(tuple(processor["generated_ids"]), processor["penalty"]),
        )
        return equal and bool(torch.allclose(got, torch.tensor(processor["processed"]), rtol=1e-6, atol=0))

    def _generate(self, prompt_ids: list[int], penalty: float, stop_id: int, *, limit: int) -> list[int]:
        """New ids after a prompt that shows frames 1 and 2, the stop id included."""
        engine = self._engine()
        trunk = Trunk(engine.pool, rope_theta=self._model.config.llm_config.rope_theta)
        settings = SpeechSettings(stop_id, limit, penalty, score_stop=False)
        prompt = self._spliced(prompt_ids, frames=[1, 2])
        with trunk.branch() as branch:
            speech = _drive(
                engine.runner,
                speak(branch, prompt, settings, on_token=lambda _: None, cancelled=lambda: False),
            )
        return [*speech.ids, *([stop_id] if speech.ending is Ending.COMPLETE else [])]

    def _engine(self) -> Engine:
        positions = self._model.config.llm_config.max_position_embeddings
        return Engine(self._model, self._tokenizer, self._template, EngineSettings(num_pages=positions // 16))

    def _pixels(self, number: int) -> torch.Tensor:
        if number > len(self._paths):
            raise BadAnnotation(
                f"the golden files speak of frame {number}, but frames/ holds {len(self._paths)}"
            )
        size = self._model.config.vision_config.image_size
        return to_pixels(resize_frame(read_image(self._paths[number - 1]), size)[None])

    def _visual(self, number: int) -> torch.Tensor:
        if number not in self._encoded:
            with torch.inference_mode():
                self._encoded[number] = self._model.encode_images(self._pixels(number))[0]
        return self._encoded[number]

    def _spliced(self, ids: list[int], frames: list[int]) -> Content:
        """Token ids with frames spliced in order, by the position of their placeholders."""
        array = np.asarray(ids, dtype=np.int64)
        starts = np.flatnonzero(array == self._tokenizer.img_start_id) + 1
        spans = [
            VisualSpan(int(at), self._visual(frame), frame) for at, frame in zip(starts, frames, strict=True)
        ]
        return Content(array, tuple(spans))


def _compare_step(replay: Replay, decision: Decision, step: Mapping[str, Any]) -> None:
    responded = step["decision"] == "respond"
    replay.decisions_equal &= (decision.action is Action.SPEAK) == responded
    if "perplexity" in step:
        replay.compare(decision.perplexity, step["perplexity"])
    if "threshold_before" in step:
        replay.compare(math.exp(decision.reference_nll), step["threshold_before"])
    if responded and "threshold" in step:
        replay.compare(math.exp(decision.new_reference_nll), step["threshold"])


def _drive(runner: Runner, steps: Steps[Speech]) -> Speech:
    """Runs one coroutine alone."""
    results: list[Speech] = []

    def keep() -> Steps[None]:
        results.append((yield from steps))

    task = Task(keep())
    while not task.done:
        task.resume(runner.forward(task.chunks))
    return results[0]


def _max_abs(got: torch.Tensor, want: torch.Tensor) -> float:
    if got.shape != want.shape:
        raise BadAnnotation(
            f"a golden tensor has shape {list(want.shape)} where {list(got.shape)} was computed"
        )
    error = float((got.double() - want.double()).abs().max())
    return error if math.isfinite(error) else math.inf
