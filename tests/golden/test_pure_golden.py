"""The rooms without a network, against what the published reference computed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from livestar.core.ids import FrameNumber
from livestar.evaluation.omnistar import (
    read_narrated_videos,
    read_predictions,
    write_narrated_videos,
    write_predictions,
)
from livestar.evaluation.timing import score_videos
from livestar.memory import FrameEntry, Ledger, PublishedPeakEnd, apply
from livestar.training.scam import FOREVER, Segment, dense_mask, scam_layout

pytestmark = pytest.mark.golden


def test_peak_end_keeps_the_published_frames(golden_dir: Path) -> None:
    cases = json.loads((golden_dir / "peak_end.json").read_text())
    assert len(cases) == 40
    for case in cases:
        frames = (
            FrameEntry(FrameNumber(e["frame"]), e["event"], e["perplexity"], 24, 0) for e in case["ledger"]
        )
        ledger = Ledger(tuple(frames), (), 0)
        kept = apply(ledger, PublishedPeakEnd().plan(ledger))
        assert [frame.number for frame in kept.frames] == case["keep_frames"]


def test_scam_layout_is_the_published_one(golden_dir: Path) -> None:
    cases = json.loads((golden_dir / "scam.json").read_text())
    assert len(cases) == 6
    for case in cases:
        segments = [Segment("leaf" if kind == "caption" else "trunk", n) for kind, n in case["segments"]]
        layout = scam_layout(segments, "released")
        rows = ["".join("01"[seen] for seen in row) for row in dense_mask(layout.vis_until).tolist()]
        assert rows == case["visible_rows"]
        assert layout.position_ids.tolist() == case["position_ids"]
        assert torch.nonzero(layout.vis_until < FOREVER).flatten().tolist() == case["leaf_columns"]


def test_timing_metrics_are_the_published_ones(golden_dir: Path) -> None:
    expected = [json.loads(line) for line in (golden_dir / "timing_expected.jsonl").read_text().splitlines()]
    truths = read_narrated_videos(golden_dir / "timing_ground_truth.txt")
    scored = score_videos(truths, read_predictions(golden_dir / "timing_predictions.jsonl"), "first_match")
    assert len(scored) == len(expected) == 26
    for video, row in zip(scored, expected, strict=True):
        assert video.video_id == row["video_id"]
        assert video.tim_diff_s == row["avg_timediff"]
        assert video.tim_redun == row["avg_redundancy"]
        assert video.tim_cover == row["avg_coverage"]
        assert list(video.match_counts) == row["match_count_per_segment"]
        assert [list(pair) for pair in video.pairs] == row["gt_result_pair"]


def test_files_survive_the_round_trip_to_the_byte(golden_dir: Path, tmp_path: Path) -> None:
    truth, predictions = golden_dir / "timing_ground_truth.txt", golden_dir / "timing_predictions.jsonl"
    write_narrated_videos(tmp_path / "truth", read_narrated_videos(truth))
    assert (tmp_path / "truth").read_bytes() == truth.read_bytes()
    write_predictions(tmp_path / "predictions", read_predictions(predictions))
    assert (tmp_path / "predictions").read_bytes() == predictions.read_bytes()
