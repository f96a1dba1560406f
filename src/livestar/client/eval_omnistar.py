"""`livestar eval` over a folder with OmniStar's own annotation files."""

from __future__ import annotations

from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from livestar.client.eval_judge import JudgeOption
from livestar.client.eval_output import EvalOutput
from livestar.client.eval_progress import watched_with_progress
from livestar.client.eval_tables import score_tables
from livestar.client.plain_text import printable
from livestar.core.errors import BadAnnotation, InvalidInput
from livestar.evaluation.omnistar_folder import OmniStarFolder
from livestar.evaluation.omnistar_forced import DialogueForcing
from livestar.evaluation.omnistar_scores import OmniStarResult, Similarity, caption_pairs
from livestar.evaluation.omnistar_watch import NarrationWatch
from livestar.evaluation.sentence_similarity import SentenceSimilarity
from livestar.evaluation.synthstar_watch import WatchSettings
from livestar.evaluation.worker_pool import Checkpoint

_SHOWN = ("sem_cor", "ppl", "tok_acc", "tim_cover", "tim_redun", "tim_diff_s", "tim_diff_cumulative_s", "frames_per_s",
          "clips")  # fmt: skip
_MAX_REASONS = 10


def evaluate_omnistar(
    checkpoint: Checkpoint,
    data: Path,
    settings: WatchSettings,
    output: EvalOutput,
    *,
    semantics: str,
    judge: JudgeOption | None,
    limit: int | None,
    processes: int,
) -> None:
    """Watches the folder's videos, feeds its dialogues, and shows the scores.

    Raises:
        InvalidInput: the settings do not fit the checkpoint.
        BadAnnotation: the annotations cannot be read, or nothing could be scored.
        FailedPrecondition: the package for the similarity of captions is not installed.
    """
    folder = OmniStarFolder.read(data, limit)
    similarity = similarity_named(semantics) if folder.videos else None
    watch = NarrationWatch(checkpoint, data, settings)
    forcing = DialogueForcing(checkpoint, data, settings.stream.max_trunk_tokens)
    result = OmniStarResult.of(
        list(
            watched_with_progress(
                watch.watch, folder.videos, lambda video: video.captions[-1].time_s + 1, processes
            )
        ),
        list(
            watched_with_progress(
                forcing.force, folder.conversations, lambda c: len(c.images), processes, title="reading"
            )
        ),
    )
    if not (result.videos or result.dialogues):
        first = result.not_scored[0]
        raise BadAnnotation(f"nothing in {data} could be scored; {first.name}: {first.reason}")
    report = result.report(similarity) | {
        "settings": settings.summary(),
        "delays_s": result.delays.report(),
    }
    tables = _tables(report, result)
    if judge:
        judged, lines = judge.report({each.video.video_id: caption_pairs(each) for each in result.videos})
        report |= judged
        tables += lines
    output.show(report, *tables)
    output.plot(result.delays, {}, alpha=settings.stream.gate.alpha, memory=settings.memory)


def similarity_named(semantics: str) -> Similarity | None:
    """How captions are compared in meaning.

    Raises:
        InvalidInput: there is no such way.
        FailedPrecondition: its package is not installed.
    """
    match semantics:
        case "embedding":
            return SentenceSimilarity().between
        case "none":
            return None
        case _:
            raise InvalidInput(f"--semantics is 'embedding' or 'none', not '{semantics}'")


def _tables(report: dict[str, object], result: OmniStarResult) -> list[RenderableType]:
    overall = report["overall"]
    assert isinstance(overall, dict)
    rows = {"overall": {name: overall[name] for name in _SHOWN}}
    tables: list[RenderableType] = [score_tables(rows, "videos", rest="Speed")]
    if left_out := result.not_scored:
        tables.append(Text(f"{len(left_out)} not scored:"))
        tables += [Text(printable(f"  {each.name}: {each.reason}")) for each in left_out[:_MAX_REASONS]]
        if len(left_out) > _MAX_REASONS:
            tables.append(Text("  …; --json names them all"))
    return tables
