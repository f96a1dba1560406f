"""`livestar eval`: how well and how timely a checkpoint speaks over clips with known ground truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from livestar.client.model_folder import Recommended, find_model
from livestar.core.errors import InvalidInput


def evaluate(
    model: Annotated[
        str, typer.Option(metavar="MODEL", help="'nano', which is shipped, or a checkpoint folder.")
    ],
    data: Annotated[
        Path,
        typer.Option(
            metavar="DIR", help="Folder that `livestar synth render` wrote, or one with OmniStar's files."
        ),
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object, for programs.")] = False,
    tasks: Annotated[
        str, typer.Option(metavar="LIST", help="'all', or some of rng,fdq,coq,miq,otg; the others are null.")
    ] = "all",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="The first N clips only.")] = None,
    alpha: Annotated[
        float | None,
        typer.Option(
            metavar="FACTOR", help="Sensitivity of the narration, at least 1; the model's own when left out."
        ),
    ] = None,
    question_alpha: Annotated[
        float | None,
        typer.Option(metavar="FACTOR", help="Sensitivity of standing questions; --alpha when left out."),
    ] = None,
    mode: Annotated[
        str,
        typer.Option(
            metavar="MODE", help="'branch' (as trained) or 'reference' (as published; no fdq and no otg)."
        ),
    ] = "branch",
    memory: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What forgets: token-budget, peak-end, uniform, fifo, random or keep-everything.",
        ),
    ] = "token-budget",
    max_trunk_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="TOKENS", help="How much of the video is remembered; the model's own when left out."
        ),
    ] = None,
    alphas: Annotated[
        str | None, typer.Option(metavar="LIST", help="Adds a curve over these alphas: 1.0,1.02,1.05.")
    ] = None,
    memories: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Adds a curve over these --max-trunk-tokens: 300,600,all (all forgets nothing).",
        ),
    ] = None,
    plots: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Writes delays and curves there as PNG files.")
    ] = None,
    processes: Annotated[
        int, typer.Option(metavar="N", min=1, help="Watch N clips at a time, one thread each.")
    ] = 1,
    data_format: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            help="'synthstar', 'omnistar' (RNG_task_eval.txt and .jsonl), or 'auto': the first that is there.",
        ),
    ] = "auto",
    semantics: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="OmniStar's SemCor: 'embedding' (wants the extra 'semantic') or 'none'.",
        ),
    ] = "embedding",
    judge_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Also ask a language model there (OpenAI's chat completions; key in LIVESTAR_JUDGE_API_KEY; extra 'judge').",
        ),
    ] = None,
    judge_model: Annotated[str | None, typer.Option(metavar="NAME", help="Which model judges.")] = None,
    device: Annotated[str, typer.Option(metavar="NAME", help="'cpu', 'cuda' or 'cuda:N'.")] = "cpu",
    dtype: Annotated[str, typer.Option(metavar="TYPE", help="'float32' or 'bfloat16'.")] = "float32",
) -> None:
    """Score a checkpoint: facts, timing, questions and grounding per family on SynthStar; timing and meaning on OmniStar.

    Example: livestar eval --model nano --data clips --alphas 1.0,1.03,1.07,1.2 --plots out
    """
    from livestar.client.eval_judge import JudgeOption
    from livestar.client.eval_omnistar import evaluate_omnistar
    from livestar.client.eval_output import EvalOutput
    from livestar.client.eval_settings import DataFormat, alpha_list, budget_list, format_of, watch_settings
    from livestar.client.eval_synthstar import evaluate_synthstar
    from livestar.client.placement import device_named, dtype_named
    from livestar.evaluation.worker_pool import Checkpoint

    folder = find_model(model)
    own = Recommended.of(folder)
    settings = watch_settings(
        tasks=tasks,
        mode=mode,
        memory=memory,
        alpha=own.alpha if alpha is None else alpha,
        question_alpha=own.question_alpha if question_alpha is None else question_alpha,
        query_below=own.query_below,
        max_trunk_tokens=own.max_trunk_tokens if max_trunk_tokens is None else max_trunk_tokens,
    )
    checkpoint = Checkpoint(folder, dtype_named(dtype), str(device_named(device)), one_thread=processes > 1)
    output = EvalOutput(as_json=as_json, plots=plots)
    judge = JudgeOption.of(judge_url, judge_model)
    if format_of(data, data_format) is DataFormat.OMNISTAR:
        if alphas or memories:
            raise InvalidInput("--alphas and --memories need SynthStar's annotations: leave them out here")
        evaluate_omnistar(
            checkpoint,
            data,
            settings,
            output,
            semantics=semantics,
            judge=judge,
            limit=limit,
            processes=processes,
        )
        return
    evaluate_synthstar(
        checkpoint, data, settings, output,
        alphas=alpha_list(alphas), budgets=budget_list(memories), judge=judge, limit=limit, processes=processes,
    )  # fmt: skip
