"""How far this implementation is from the published reference, file by file of a folder of golden vectors.

Each check answers with a number or a boolean, or None where its file is missing. `livestar.evaluation.parity_network` holds
the checks that need the checkpoint's weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError

from livestar.core.errors import BadAnnotation, CheckpointError
from livestar.core.ids import FrameNumber
from livestar.evaluation.omnistar import read_narrated_videos, read_predictions
from livestar.evaluation.timing import VideoTiming, score_videos
from livestar.memory import FrameEntry, Ledger, PublishedPeakEnd
from livestar.model import Tokenizer, read_image, resize_frame
from livestar.training.scam import Segment, dense_mask, scam_layout

FEATURE_TOLERANCE = 2e-5
PERPLEXITY_TOLERANCE = 2e-5


@dataclass(frozen=True)
class ParityReport:
    """What `livestar parity` prints; None where the golden file is missing.

    Errors are the largest over a file: absolute for features and logits, relative for perplexities.
    """

    features_max_abs_err: float | None = None
    logits_max_abs_err: float | None = None
    perplexity_max_rel_err: float | None = None
    decisions_equal: bool | None = None
    generated_equal: bool | None = None
    peak_end_equal: bool | None = None
    scam_equal: bool | None = None
    tokenizer_equal: bool | None = None
    resize_equal: bool | None = None
    timing_equal: bool | None = None

    @property
    def ok(self) -> bool:
        """Whether nothing that was checked is beyond its tolerance."""
        errors = (
            (self.features_max_abs_err, FEATURE_TOLERANCE),
            (self.logits_max_abs_err, FEATURE_TOLERANCE),
            (self.perplexity_max_rel_err, PERPLEXITY_TOLERANCE),
        )
        booleans = [value for value in asdict(self).values() if isinstance(value, bool)]
        return all(booleans) and all(error is None or error <= limit for error, limit in errors)


def check_parity(directory: Path) -> ParityReport:
    """Runs every golden file of a folder.

    Raises:
        CheckpointError: the folder holds no golden file, or a checkpoint that does not load.
        BadAnnotation: a golden file cannot be read.
    """
    from livestar.evaluation.parity_network import check_network

    if not directory.is_dir():
        raise CheckpointError(f"{directory} is not a folder: give the folder that holds the golden vectors")
    report = ParityReport(
        **check_network(directory),
        peak_end_equal=_optional(check_peak_end, directory / "peak_end.json"),
        scam_equal=_optional(check_scam, directory / "scam.json"),
        tokenizer_equal=check_tokenizer(directory),
        resize_equal=_optional(check_resize, directory / "large.png", directory / "large_resized.png"),
        timing_equal=_optional(
            check_timing,
            directory / "timing_ground_truth.txt",
            directory / "timing_predictions.jsonl",
            directory / "timing_expected.jsonl",
        ),
    )
    if all(value is None for value in asdict(report).values()):
        raise CheckpointError(f"{directory} holds no golden vectors: see README.md, section Parity")
    return report


def check_peak_end(path: Path) -> bool:
    """The published selection keeps the same frames of every ledger."""
    policy = PublishedPeakEnd(trigger_frames=0)
    return all(
        sorted(_numbers(ledger) - policy.plan(ledger).frames) == sorted(case["keep_frames"])
        for case in read_cases(path)
        for ledger in [_ledger(case["ledger"])]
    )


def check_scam(path: Path) -> bool:
    """Visibility, positions and leaf columns of every segment list."""
    return all(_scam_case_equal(case) for case in read_cases(path))


def check_tokenizer(directory: Path) -> bool | None:
    """Strings and dialogues give the same ids, and the ids the same strings."""
    strings, dialogue = directory / "tokenizer.json", directory / "chat_template.json"
    if not (strings.exists() and dialogue.exists()):
        return None
    tokenizer = Tokenizer.from_directory(directory)
    with reading(strings):
        for case in read_cases(strings):
            ids = [tokenizer.bos_id, *tokenizer.encode_template(case["text"])]
            if ids != case["ids"] or tokenizer.decode(ids) != case["decoded"]:
                return False
    template = read_json(dialogue)
    with reading(dialogue):
        return bool([tokenizer.bos_id, *tokenizer.encode_template(_prompt(template))] == template["ids"])


def check_resize(source: Path, expected: Path) -> bool:
    """Downscaling matches to the byte."""
    want = read_image(expected)
    return bool(np.array_equal(resize_frame(read_image(source), want.shape[0]), want))


def check_timing(truth: Path, predictions: Path, expected: Path) -> bool:
    """Timing metrics and pairings of every video."""
    scores = score_videos(read_narrated_videos(truth), read_predictions(predictions))
    by_video = {video.video_id: video for video in scores}
    rows = [
        _parse(line, expected) for line in expected.read_text(encoding="utf-8").splitlines() if line.strip()
    ]
    return len(rows) == len(by_video) and all(
        row["video_id"] in by_video and _timing_equal(row, by_video[row["video_id"]]) for row in rows
    )


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Within: whatever a golden file of the wrong shape makes fail is the file's fault, and named.

    Raises:
        BadAnnotation: instead of the error.
    """
    try:
        yield
    except (
        AttributeError,
        LookupError,
        OSError,
        RuntimeError,
        SafetensorError,
        TypeError,
        ValueError,
    ) as error:
        reason = type(error).__name__ + (f": {error}" if str(error) else "")
        raise BadAnnotation(f"{path.name} does not have the shape of a golden file ({reason}).") from error


def read_cases(path: Path) -> list[Any]:
    """The cases of a golden JSON file that holds a list of them.

    Raises:
        BadAnnotation: it holds none.
    """
    cases = read_json(path)
    if not isinstance(cases, list) or not cases:
        raise BadAnnotation(f"{path.name} holds no cases.")
    return cases


def read_json(path: Path) -> Any:
    """The contents of a golden JSON file.

    Raises:
        BadAnnotation: it cannot be read.
    """
    try:
        return _parse(path.read_text(encoding="utf-8"), path)
    except (OSError, UnicodeDecodeError) as error:
        raise BadAnnotation(f"{path.name} cannot be read as text: {error}") from error


def _optional(check: Callable[..., bool], *paths: Path) -> bool | None:
    if not all(path.exists() for path in paths):
        return None
    with reading(paths[-1]):
        return check(*paths)


def _parse(text: str, path: Path) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise BadAnnotation(f"{path.name} is not JSON: {error}") from error


def _ledger(rows: Sequence[Mapping[str, Any]]) -> Ledger:
    # The selection compares perplexities within an event; any increasing score will do.
    frames = [
        FrameEntry(FrameNumber(row["frame"]), row["event"], row["perplexity"], num_tokens=24, pts_ns=0)
        for row in rows
    ]
    return Ledger(tuple(frames), captions=(), fixed_tokens=0)


def _numbers(ledger: Ledger) -> set[FrameNumber]:
    return {frame.number for frame in ledger.frames}


def _scam_case_equal(case: Mapping[str, Any]) -> bool:
    segments = [
        Segment("leaf" if kind == "caption" else "trunk", length) for kind, length in case["segments"]
    ]
    layout = scam_layout(segments, "released")
    mask = dense_mask(layout.vis_until)
    rows = ["".join("1" if seen else "0" for seen in row) for row in mask.tolist()]
    ends = np.cumsum([length for _, length in case["segments"]])
    leaves = [
        column
        for (kind, length), end in zip(case["segments"], ends, strict=True)
        if kind == "caption"
        for column in range(end - length, end)
    ]
    return all(
        (
            rows == case["visible_rows"],
            layout.position_ids.tolist() == case["position_ids"],
            leaves == case["leaf_columns"],
        )
    )


def _prompt(case: Mapping[str, Any]) -> str:
    turns = [f"<|im_start|>system\n{case['system']}<|im_end|>\n"]
    for role, text in case["dialogue"]:
        turns.append(f"<|im_start|>{role}\n" + ("" if text is None else f"{text}<|im_end|>\n"))
    return "".join(turns)


def _timing_equal(row: Mapping[str, Any], video: VideoTiming) -> bool:
    return (
        np.allclose(
            [row["avg_timediff"], row["avg_redundancy"], row["avg_coverage"]],
            [video.tim_diff_s, video.tim_redun, video.tim_cover],
            rtol=1e-9,
            atol=1e-9,
        )
        and row["match_count_per_segment"] == list(video.match_counts)
        and [tuple(pair) for pair in row["gt_result_pair"]] == list(video.pairs)
    )
