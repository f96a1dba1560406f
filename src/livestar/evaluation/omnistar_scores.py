"""Scores over OmniStar's own annotations: means over videos, each counting once.

The timing metrics are those of `timing`. SemCor is the mean similarity of a segment's caption with the first one said in it,
0 where nothing was said. Perplexity and token accuracy are means over a dialogue's captions, then over dialogues.
Source: OmniStar-RNG online and offline evaluation, LiveStar (arXiv 2511.05299); the similarity stands in for its judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

from livestar.evaluation.delays import Delays
from livestar.evaluation.omnistar_forced import ForcedDialogue
from livestar.evaluation.omnistar_watch import NarratedAnew, NotScored
from livestar.evaluation.synthstar_scores import Scores
from livestar.evaluation.timing import score_video

Similarity = Callable[[Sequence[tuple[str, str]]], Sequence[float]]
"""How alike the two texts of every pair are, at most 1."""


@dataclass(frozen=True)
class OmniStarResult:
    """What was said over a folder's videos, and how likely its dialogues were.

    Attributes:
        videos: watched.
        dialogues: teacher-forced.
        not_scored: videos and dialogues that are in no score.
    """

    videos: tuple[NarratedAnew, ...]
    dialogues: tuple[ForcedDialogue, ...]
    not_scored: tuple[NotScored, ...]

    @classmethod
    def of(
        cls, videos: Iterable[NarratedAnew | NotScored], dialogues: Iterable[ForcedDialogue | NotScored]
    ) -> OmniStarResult:
        """Sorts results into what is scored and what is not."""
        watched, forced = list(videos), list(dialogues)
        return cls(
            tuple(each for each in watched if isinstance(each, NarratedAnew)),
            tuple(each for each in forced if isinstance(each, ForcedDialogue)),
            tuple(each for each in [*watched, *forced] if isinstance(each, NotScored)),
        )

    @property
    def delays(self) -> Delays:
        """How late the first words about each segment came."""
        return Delays.of_videos((each.video, each.said) for each in self.videos)

    def report(self, similarity: Similarity | None = None) -> dict[str, object]:
        """Scores as JSON has them: `overall`, a row for each of the `videos`, and what was left out."""
        rows = {each.video.video_id: _online(each, similarity) for each in self.videos}
        too_long = sum(dialogue.too_long for dialogue in self.dialogues)
        forced = sum(len(dialogue.forced) for dialogue in self.dialogues)
        return {
            "overall": self._overall(list(rows.values())).rounded(),
            "families": {},
            "videos": {name: row.rounded() for name, row in rows.items()},
            "captions": {"forced": forced, "too_long": too_long},
            "not_scored": [{"name": each.name, "reason": each.reason} for each in self.not_scored],
        }

    def _overall(self, rows: Sequence[Scores]) -> Scores:
        forced = [dialogue.forced for dialogue in self.dialogues]
        busy_s = sum(each.busy_s for each in self.videos)
        return Scores(
            sem_cor=_mean(row.sem_cor for row in rows),
            tim_cover=_mean(row.tim_cover for row in rows),
            tim_redun=_mean(row.tim_redun for row in rows),
            tim_diff_s=_mean(row.tim_diff_s for row in rows),
            tim_diff_cumulative_s=_mean(row.tim_diff_cumulative_s for row in rows),
            ppl=_mean(fmean(each.perplexity for each in captions) for captions in forced),
            tok_acc=_mean(fmean(each.right for each in captions) for captions in forced),
            frames_per_s=sum(each.num_frames for each in self.videos) / busy_s if busy_s else None,
            clips=max(len(rows), len(forced)),
        )


def caption_pairs(watched: NarratedAnew) -> tuple[tuple[str, str], ...]:
    """For every segment the true caption and the first one said in it, or an empty text."""
    return score_video(watched.video, watched.said).pairs


def _online(watched: NarratedAnew, similarity: Similarity | None) -> Scores:
    first = score_video(watched.video, watched.said)
    cumulative = score_video(watched.video, watched.said, "cumulative")
    return Scores(
        sem_cor=None if similarity is None else fmean(similarity(first.pairs)),
        tim_cover=first.tim_cover,
        tim_redun=first.tim_redun,
        tim_diff_s=first.tim_diff_s,
        tim_diff_cumulative_s=cumulative.tim_diff_s,
        frames_per_s=watched.num_frames / watched.busy_s if watched.busy_s else None,
        clips=1,
    )


def _mean(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return fmean(known) if known else None
