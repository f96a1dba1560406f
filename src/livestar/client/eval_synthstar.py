"""`livestar eval` over clips whose facts are known."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType

from livestar.client.eval_judge import JudgeOption
from livestar.client.eval_output import EvalOutput
from livestar.client.eval_progress import watched_with_progress
from livestar.client.eval_tables import curve_table, score_tables
from livestar.core.errors import InvalidInput
from livestar.evaluation.delays import Delays
from livestar.evaluation.sweep import Point, Sweep
from livestar.evaluation.synthstar_events import caption_pairs
from livestar.evaluation.synthstar_folder import FolderWatch, read_clips
from livestar.evaluation.synthstar_scores import by_family, report, score
from livestar.evaluation.synthstar_watch import WatchSettings
from livestar.evaluation.synthstar_watched import Task, Watched
from livestar.evaluation.worker_pool import Checkpoint

_CURVES = {
    "alpha_curve": ("Sensitivity of the gate", "alpha"),
    "memory_curve": ("Memory budget", "max_trunk_tokens"),
}
_CURVE_SCORES = ("sem_cor", "tim_cover", "tim_redun", "tim_diff_s", "fdq_exact", "coq_exact", "miq_exact")


def evaluate_synthstar(
    checkpoint: Checkpoint,
    data: Path,
    settings: WatchSettings,
    output: EvalOutput,
    *,
    alphas: tuple[float, ...],
    budgets: tuple[int | None, ...],
    judge: JudgeOption | None,
    limit: int | None,
    processes: int,
) -> None:
    """Watches every clip with every setting, and shows scores, curves and pictures.

    Raises:
        InvalidInput: the settings do not fit each other or the checkpoint.
        BadAnnotation: the folder's annotations cannot be read.
        BadVideo: a video cannot be read, or is not as long as its annotations.
    """
    if alphas and not settings.tasks & {Task.RNG, Task.FDQ}:
        raise InvalidInput("--alphas varies what rng and fdq do: add one of them to --tasks")
    if judge and not settings.does(Task.RNG):
        raise InvalidInput("the judge reads the narration: add rng to --tasks")
    sweep = Sweep(settings, alphas, budgets)
    try:
        variants = sweep.variants
    except ValueError as error:
        raise InvalidInput(str(error)) from error
    clips = read_clips(data, limit)
    job = FolderWatch(checkpoint, data, variants)
    rows = list(watched_with_progress(job.watch, clips, lambda clip: clip.num_frames, processes))
    scored, curves = [row[0] for row in rows], sweep.curves(rows)
    delays = Delays.of_clips(scored)
    whole = report(scored) | {"settings": settings.summary(), "delays_s": delays.report(), **curves}
    tables = _tables(scored, curves)
    if judge:
        judged, lines = judge.report({each.clip.video_id: caption_pairs(each) for each in scored})
        whole |= judged
        tables += lines
    output.show(whole, *tables)
    output.plot(delays, curves, alpha=settings.stream.gate.alpha, memory=settings.memory)


def _tables(watched: list[Watched], curves: dict[str, list[Point]]) -> list[RenderableType]:
    rows = {name: score(clips).rounded() for name, clips in by_family(watched).items()}
    rows["overall"] = score(watched).rounded()
    tables: list[RenderableType] = [score_tables(rows, "family")]
    for name, points in curves.items():
        title, varied = _CURVES[name]
        tables.append(curve_table(title, points, (varied, *_CURVE_SCORES)))
    return tables
