"""What each method makes of the same small window: labels, visibility and positions, token by token."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import torch

from livestar.core.errors import InvalidInput
from livestar.model import ChatTemplate, Tokenizer
from livestar.synth import Split, families
from livestar.training.baseline_packing import CausalPacker, OnlinePacker, RecentPacker
from livestar.training.batch import Collate
from livestar.training.compare_data import CompareCollate, ComparedWindows
from livestar.training.methods import EOS_ID, HEAD_IDS, METHODS, UNKNOWN_ID, chosen, eos_ids
from livestar.training.packing import (
    LeafKind,
    Packer,
    Question,
    Remembered,
    Sample,
    Watched,
    WatchedFrame,
)
from livestar.training.scam import FOREVER, IGNORED
from livestar.training.synthstar_dataset import ClipSource, Stream
from livestar.training.synthstar_windows import WindowSettings

pytestmark = pytest.mark.unit

RED, DOG = "A red ball stops near the door.", "The small dog turns around slowly."
WINDOW = Watched(
    (
        WatchedFrame(1, 0, RED, is_onset=True),
        WatchedFrame(2, 0, RED),
        WatchedFrame(3, 1, DOG, is_onset=True),
        WatchedFrame(4, 1, DOG),
    ),
    from_start=True,
)
ASKED = replace(WINDOW, questions=((1, Question(LeafKind.STANDING, (("What is it?", "A red ball."),))),))
TRAINED = [name for name in METHODS if name != "scam-jitter"]


@pytest.fixture(scope="module")
def template(tiny_checkpoint: Path) -> ChatTemplate:
    return ChatTemplate.from_directory(tiny_checkpoint)


class Layout:
    """Where the turns of a stream would begin, counted by hand."""

    def __init__(self, template: ChatTemplate) -> None:
        self.t = template
        self.opening = (*template.system, *template.user_open, *template.task_prompt)

    def frame(self, number: int) -> tuple[int, ...]:
        before = self.opening if number == 1 else self.t.user_open
        return (*before, *self.t.frame_line(number), *self.t.turn_close)

    def caption(self, text: str) -> tuple[int, ...]:
        return (*self.t.assistant_open, *self.t.text(text), *self.t.turn_close)

    def caption_labels(self, text: str) -> list[int]:
        """Labels of a caption's turn."""
        skipped = [IGNORED] * len(self.t.assistant_open)
        return [*skipped, *self.t.text(text), self.t.stop_id, *[IGNORED] * (len(self.t.turn_close) - 1)]


def spans(parts: list[tuple[int, ...]]) -> list[range]:
    ranges, start = [], 0
    for part in parts:
        ranges.append(range(start, start + len(part)))
        start += len(part)
    return ranges


def is_plain_causal(sample: Sample) -> bool:
    everything = torch.full_like(sample.vis_until, FOREVER)
    return torch.equal(sample.vis_until, everything) and torch.equal(
        sample.position_ids, torch.arange(len(sample.ids))
    )


def test_causal_repeats_the_caption_at_every_frame_in_plain_sight(template: ChatTemplate) -> None:
    layout = Layout(template)
    parts = [
        part
        for n, text in enumerate((RED, RED, DOG, DOG), start=1)
        for part in (layout.frame(n), layout.caption(text))
    ]
    sample = CausalPacker(template).pack(WINDOW)
    assert sample.ids.tolist() == [i for part in parts for i in part]
    expected = [IGNORED] * len(sample.ids)
    for rows, text in zip(spans(parts)[1::2], (RED, RED, DOG, DOG), strict=True):
        expected[rows.start : rows.stop] = layout.caption_labels(text)
    assert sample.labels.tolist() == expected
    assert is_plain_causal(sample)
    assert sample.leaves.tolist() == [LeafKind.ONSET, LeafKind.CAPTION] * 2


@pytest.mark.parametrize("name", ["eos", "head"])
def test_online_methods_tell_an_event_once_and_decide_at_every_frame(
    template: ChatTemplate, name: str
) -> None:
    layout = Layout(template)
    parts = [
        layout.frame(1),
        layout.caption(RED),
        layout.frame(2),
        layout.frame(3),
        layout.caption(DOG),
        layout.frame(4),
    ]
    rows = spans(parts)
    sample = METHODS[name].packer(template, 4096).pack(WINDOW)
    fed = [i for part in parts for i in part]
    labels = [IGNORED] * len(fed)
    labels[rows[1].start : rows[1].stop] = layout.caption_labels(RED)
    labels[rows[4].start : rows[4].stop] = layout.caption_labels(DOG)
    decided = [rows[0][-1], rows[2][-1], rows[3][-1], rows[5][-1]]
    speaks = [1, 0, 1, 0]
    kinds = [LeafKind.ONSET, LeafKind.ONSET]
    if name == "head":
        assert sample.decisions.tolist() == [list(pair) for pair in zip(decided, speaks, strict=True)]
    else:
        # The label of the last row stands at the first token of the turn that would come next.
        fed.append(template.user_open[0])
        labels.append(IGNORED)
        for row, speak in zip(decided, speaks, strict=True):
            labels[row + 1] = template.assistant_open[0] if speak else EOS_ID
        kinds = [LeafKind.DECISION, LeafKind.ONSET, LeafKind.DECISION] * 2
        assert len(sample.decisions) == 0
        assert EOS_ID not in sample.ids
    assert sample.ids.tolist() == fed
    assert sample.labels.tolist() == labels
    assert sample.leaves.tolist() == kinds
    assert int(sample.leaf_sizes.sum()) == sum(label != IGNORED for label in labels)
    assert is_plain_causal(sample)


def test_a_question_does_not_come_between_a_frame_and_its_decision(template: ChatTemplate) -> None:
    alone, asked = (OnlinePacker(template, silent_id=EOS_ID).pack(w) for w in (WINDOW, ASKED))
    kept = asked.vis_until == FOREVER
    assert asked.ids[kept].tolist() == alone.ids.tolist()
    assert asked.position_ids[kept].tolist() == alone.position_ids.tolist()
    where = (asked.labels == EOS_ID).nonzero().flatten()
    # The prediction is that of the row before, whatever stands at the label's own place.
    assert [int(asked.ids[i - 1]) for i in where] == [template.turn_close[-1]] * 2
    assert asked.leaves.tolist()[2:4] == [LeafKind.DECISION, LeafKind.STANDING]


def test_a_window_that_begins_within_an_event_does_not_train_to_tell_it_again(template: ChatTemplate) -> None:
    items = (
        Remembered(0, RED),
        WatchedFrame(40, 1),
        WatchedFrame(50, 1, DOG),
        WatchedFrame(51, 1, DOG),
        WatchedFrame(52, 2, RED, is_onset=True),
    )
    sample = OnlinePacker(template).pack(Watched(items, from_start=False))
    assert sample.decisions[:, 1].tolist() == [0, 1]
    assert sample.leaves.tolist() == [LeafKind.CAPTION, LeafKind.ONSET]


def test_recent_frames_end_with_the_third_frame_after_them(template: ChatTemplate) -> None:
    window = replace(WINDOW, items=tuple(WatchedFrame(n, 0, RED, is_onset=n == 1) for n in range(1, 7)))
    layout = Layout(template)
    parts = [part for n in range(1, 7) for part in (layout.frame(n), layout.caption(RED))]
    rows = spans(parts)
    sample = RecentPacker(template, num_frames=4).pack(window)
    released = Packer(template, variant="released").pack(window)
    assert torch.equal(sample.ids, released.ids)
    assert torch.equal(sample.labels, released.labels)
    assert torch.equal(sample.position_ids, released.position_ids)
    expected = released.vis_until.clone()
    # Frame 1 is seen until the caption of frame 4; the turn around its line, with the task prompt, stays.
    line = range(len(layout.opening), rows[0].stop - len(template.turn_close))
    expected[line.start : line.stop] = rows[7][-1]
    expected[rows[2].start : rows[2].stop] = rows[9][-1]
    assert sample.vis_until.tolist() == expected.tolist()


def test_all_methods_show_the_same_frames_of_a_window_that_is_too_long(template: ChatTemplate) -> None:
    size = len(Packer(template).pack(WINDOW).ids) - 1
    shown = {name: METHODS[name].packer(template, size).pack(WINDOW).shown for name in TRAINED}
    assert set(shown.values()) == {(1, 2, 3)}


def test_decisions_are_between_ids_that_nothing_else_uses(template: ChatTemplate) -> None:
    """Nano's tokenizer, everything that is fed and predicted."""
    directory = Path(__file__).parents[2] / "models/livestar-nano"
    tokenizer = Tokenizer.from_directory(directory)
    assert {EOS_ID, UNKNOWN_ID} <= tokenizer.reserved_ids
    template = ChatTemplate.from_directory(directory, tokenizer)
    windows = ComparedWindows(
        chosen(["scam-paper", "head"]),
        template,
        2048,
        ClipSource(tuple(f.name for f in families()), Split.TRAIN, size=16),
        WindowSettings(num_frames=12),
        Stream(1),
        questions=True,
    )
    for window in islice(windows, 12):
        for sample in window.samples:
            used = {*sample.ids.tolist(), *sample.labels.tolist()}
            assert not used & {HEAD_IDS.silent, HEAD_IDS.speak}
    assert eos_ids(template).speak == template.assistant_open[0]


def test_windows_are_the_same_for_all_methods(template: ChatTemplate, tiny_checkpoint: Path) -> None:
    methods = chosen(TRAINED)
    windows = ComparedWindows(
        methods,
        template,
        1024,
        ClipSource(("court",), size=16),
        WindowSettings(num_frames=8, thinned=0.0),
        Stream(2),
    )
    pair = list(islice(windows, 2))
    for window in pair:
        assert len(window.frames) == 8
        assert len({sample.shown for sample in window.samples}) == 1
    tokenizer = Tokenizer.from_directory(tiny_checkpoint)
    collate = CompareCollate(methods, Collate(tokenizer.img_context_id, tokenizer.im_end_id, 1024))
    batch = collate(pair)
    assert batch["frames_FHW3"].shape == (16, 16, 16, 3)
    for k, method in enumerate(methods):
        mine = batch["methods"][method.name]
        assert mine["visual_tokens"].tolist() == list(range(16 * 16))
        ids = mine["ids_BT"].flatten()
        assert ids[mine["visual_rows"]].unique().tolist() == [tokenizer.img_context_id]
        assert len(mine["is_decision_S"]) == len(mine["targets_S"])
        assert bool(mine["is_decision_S"].any()) == (method.name == "eos")
        decided = [sample.samples[k].decisions for sample in pair]
        second = decided[1] + torch.tensor([1024, 0])
        assert mine["decision_rows_D"].tolist() == [*decided[0][:, 0].tolist(), *second[:, 0].tolist()]
        assert (len(mine["decisions_D"]) == 16) == (method.name == "head")


def test_methods_are_chosen_by_name() -> None:
    assert [method.name for method in chosen(["eos", "causal", "eos"])] == ["eos", "causal"]
    with pytest.raises(InvalidInput, match="no method 'sos'"):
        chosen(["sos"])
    with pytest.raises(InvalidInput, match="at least one"):
        chosen([])
