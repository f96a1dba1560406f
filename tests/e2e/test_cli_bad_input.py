"""Whatever a user gives that cannot work: one sentence on stderr, exit status 2, no traceback, nothing on stdout."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from e2e.command import Outcome, run
from fakes.video import write_song

pytestmark = pytest.mark.e2e

Enter = Callable[..., Outcome]


def refused(got: Outcome, because: str) -> None:
    """One sentence, and it says `because`."""
    assert got.status == 2
    assert got.out == ""
    assert re.fullmatch(r"livestar: [^\n]+\n", got.err), got.err
    assert re.search(because, got.err)


def test_in_a_real_process(tmp_path: Path) -> None:
    refused(
        run("watch", tmp_path / "none.mp4", "--model", tmp_path), "none.mp4 does not exist: check the path"
    )


def _nothing(path: Path, _: Path) -> None:
    assert not path.exists()


def _folder(path: Path, _: Path) -> None:
    path.mkdir()


def _text(path: Path, _: Path) -> None:
    path.write_text("not a video\n" * 100, encoding="utf-8")


def _empty(path: Path, _: Path) -> None:
    path.write_bytes(b"")


def _song(path: Path, _: Path) -> None:
    write_song(path)


def _no_frames(path: Path, clip: Path) -> None:
    content = clip.read_bytes()
    start = content.index(b"mdat") + 4
    path.write_bytes(
        content[:start] + bytes(content.index(b"moov") - 4 - start) + content[content.index(b"moov") - 4 :]
    )


def _cut(path: Path, clip: Path) -> None:
    path.write_bytes(clip.read_bytes()[:2000])


@pytest.mark.parametrize(
    ("write", "because"),
    [
        (_nothing, "does not exist: check the path"),
        (_folder, "is a directory: give the path of one video file"),
        (_text, "no video that FFmpeg can read|is a text file: give a video"),
        (_empty, "no video that FFmpeg can read"),
        (_song, "holds audio but no video: give a file with a video track"),
        (_no_frames, "no frame that decodes: record or export it again"),
        (_cut, "is cut short: export it again"),
    ],
)
def test_video(
    write: Callable[[Path, Path], None],
    because: str,
    clip: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    enter: Enter,
) -> None:
    video = tmp_path / "\x1b[31mgiven\n.mp4"
    write(video, clip)
    got = enter("watch", video, "--model", tiny_checkpoint)
    refused(got, because)
    assert "\x1b" not in got.err, "a file name commands no terminal"


@pytest.mark.parametrize(
    ("options", "because"),
    [
        ("--fps 0", "--fps is frames per second, more than 0"),
        ("--fps -1", "more than 0, not -1"),
        ("--fps nan", "more than 0, not nan"),
        ("--fps inf", "more than 0, not inf"),
        ("--mode fast", "--mode is 'branch' or 'reference', not 'fast'"),
        ("--alpha 0.9", "alpha is at least 1, not 0.9"),
        ("--alpha nan", "alpha is at least 1, not nan"),
        ("--min-gap -1", "min_gap_s is at least 0"),
        ("--max-silence 0", "max_silence_s is more than min_gap_s"),
        ("--ask Who?", "--ask is SECONDS:TEXT, as in '12:How many people"),
        ("--ask soon:Who?", "not 'soon:Who"),
        ("--ask -1:Who?", "SECONDS:TEXT"),
        ("--ask nan:Who?", "SECONDS:TEXT"),
        ("--ask 3:", "SECONDS:TEXT"),
        ("--standing=", "the question is empty: write one"),
        ("--standing Who? --mode reference", "standing questions .* need mode 'branch'"),
        ("--max-trunk-tokens 10", r"max_trunk_tokens is at least \d+ "),
        ("--max-trunk-tokens 1000000", "max_trunk_tokens is less than"),
        ("--max-caption-tokens 0", "max_caption_tokens is at least 1, not 0"),
        ("--device tpu", "--device is 'cpu', 'cuda' or 'cuda:N', not 'tpu'"),
        ("--device meta", "--device is 'cpu', 'cuda' or 'cuda:N', not 'meta'"),
        ("--device cuda:63", "--device cuda:63 is not there"),
        ("--dtype int8", "--dtype is 'float32' or 'bfloat16', not 'int8'"),
    ],
)
def test_options(options: str, because: str, clip: Path, tiny_checkpoint: Path, enter: Enter) -> None:
    refused(enter("watch", clip, "--model", tiny_checkpoint, "--json", *options.split()), because)


def _change(name: str, **values: object) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        settings = json.loads((folder / name).read_text(encoding="utf-8"))
        (folder / name).write_text(json.dumps(settings | values), encoding="utf-8")

    return change


def _overwrite(name: str, content: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(content) and None


def _remove(*names: str) -> Callable[[Path], None]:
    return lambda folder: [(folder / name).unlink() for name in names] and None


def _truncate(folder: Path) -> None:
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])


def _rename_tensor(folder: Path) -> None:
    weights = load_file(folder / "model.safetensors")
    weights["stranger"] = weights.pop("mlp1.0.weight")
    save_file(weights, folder / "model.safetensors")


@pytest.mark.parametrize(
    ("harm", "because"),
    [
        (shutil.rmtree, "there is no model"),
        (_remove("config.json"), "config.json cannot be read: No such file"),
        (_overwrite("config.json", b'{"model_type":'), "config.json is no valid JSON"),
        (_change("config.json", model_type="llava"), "describes a 'llava' model"),
        (_change("config.json", llm_config="large"), "config.json holds a value of the wrong kind"),
        (_remove("model.safetensors"), "holds no weights"),
        (_truncate, "model.safetensors is damaged or truncated"),
        (_rename_tensor, "missing mlp1.0.weight; extra stranger"),
        (_remove("tokenizer.model"), "tokenizer.model is no readable sentencepiece model"),
        (
            _overwrite("tokenizer.model", b"\x00\xff" * 99),
            "tokenizer.model is no readable sentencepiece model",
        ),
        (_change("tokenizer_config.json", added_tokens_decoder={}), "tokenizer has no token"),
        (_change("config.json", img_context_token_id=7), "is 511 in the tokenizer, but 7 in config.json"),
        (_overwrite("livestar.json", b"{"), "livestar.json is no valid JSON"),
    ],
)
def test_checkpoint(
    harm: Callable[[Path], None],
    because: str,
    clip: Path,
    tiny_checkpoint: Path,
    tmp_path: Path,
    enter: Enter,
) -> None:
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "checkpoint")
    harm(folder)
    refused(enter("watch", clip, "--model", folder), because)


def test_parity_wants_a_folder_with_golden_files(tmp_path: Path, enter: Enter) -> None:
    refused(
        enter("parity", tmp_path / "none"), "is not a folder: give the folder that holds the golden vectors"
    )
    refused(enter("parity", tmp_path, "--json"), "holds no golden vectors")
    (tmp_path / "scam.json").write_text("[{", encoding="utf-8")
    refused(enter("parity", tmp_path), "scam.json is not JSON")


def test_usage(enter: Enter) -> None:
    """Commands that are not there at all are the parser's to explain."""
    for arguments in (
        ["eval", "--model", "nano"],
        ["wach"],
        ["watch", "clip.mp4", "--model", ".", "--fps", "many"],
    ):
        got = enter(*arguments)
        assert got.status == 2
        assert "Usage: livestar" in got.err
        assert "Traceback" not in got.err
