"""The chat template as blocks of ids; a dialogue is their concatenation.

Source: published checkpoint layout (template `internvl2_5`); paper, appendix on prompts (task prompt).
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import Self

from livestar.core.errors import CheckpointError
from livestar.model.config import NUM_VISUAL_TOKENS
from livestar.model.folder import read_json
from livestar.model.tokenizer import Tokenizer

OVERRIDES_FILE = "livestar.json"

SYSTEM = "你是书生·万象，英文名是InternVL，是由上海人工智能实验室、清华大学及多家合作单位联合开发的多模态大语言模型。"
"""The published system message."""

TASK_PROMPT = (
    "You are an expert in real-time streaming video description. I will provide video frames sequentially, and you need to "
    "comprehend each frame's content in real-time while dynamically generating concise descriptions. Use transitional phrases "
    "to maintain textual coherence and avoid repeating already described content.\n"
)
"""The published task prompt of narration; its last two characters are one token."""


class ChatTemplate:
    """Blocks of ids for one tokenizer. Immutable, safe to share between threads.

    Args:
        tokenizer: of the checkpoint.
        system: the system message; trusted.
        task_prompt: stands before the first frame; trusted, ends with a newline.
    """

    def __init__(self, tokenizer: Tokenizer, system: str = SYSTEM, task_prompt: str = TASK_PROMPT) -> None:
        self._tokenizer = tokenizer
        self._system = system
        self._task_prompt = task_prompt

    @classmethod
    def from_directory(cls, directory: Path | str, tokenizer: Tokenizer | None = None) -> Self:
        """The template of a checkpoint folder; livestar.json, where present, may override `system` and `task_prompt`.

        Raises:
            CheckpointError: livestar.json or the tokenizer is unreadable.
        """
        path = Path(directory) / OVERRIDES_FILE
        overrides = read_json(path) if path.is_file() else {}
        texts = {name: overrides[name] for name in ("system", "task_prompt") if name in overrides}
        if not all(isinstance(text, str) for text in texts.values()):
            raise CheckpointError(f"{path} must hold strings for system and task_prompt.")
        return cls(Tokenizer.from_directory(directory) if tokenizer is None else tokenizer, **texts)

    @cached_property
    def system(self) -> tuple[int, ...]:
        """BOS and the system block; 38 ids as published."""
        block = self._ids(f"<|im_start|>system\n{self._system}<|im_end|>\n")
        return (self._tokenizer.bos_id, *block)

    @cached_property
    def task_prompt(self) -> tuple[int, ...]:
        """The task prompt; 55 ids as published."""
        return self._ids(self._task_prompt)

    @cached_property
    def user_open(self) -> tuple[int, ...]:
        r"""`<|im_start|>user\n`."""
        return self._ids("<|im_start|>user\n")

    @cached_property
    def assistant_open(self) -> tuple[int, ...]:
        r"""`<|im_start|>assistant\n`."""
        return self._ids("<|im_start|>assistant\n")

    @cached_property
    def turn_close(self) -> tuple[int, ...]:
        r"""`<|im_end|>\n`."""
        return self._ids("<|im_end|>\n")

    @cached_property
    def newline(self) -> tuple[int, ...]:
        """A line break."""
        return self._ids("\n")

    @property
    def stop_id(self) -> int:
        """`<|im_end|>`: ends a caption, and is scored with it."""
        return self._tokenizer.im_end_id

    def frame_line(self, index: int) -> tuple[int, ...]:
        """The line of one frame, 16 placeholders included; 24 ids as published up to frame 999, 25 above.

        Args:
            index: as shown to the model, from 1.
        """
        return self._ids(f"Frame-{index}: <img>{'<IMG_CONTEXT>' * NUM_VISUAL_TOKENS}</img>\n")

    def text(self, words: str) -> tuple[int, ...]:
        """Words from outside; no reserved id comes out, whatever they spell."""
        return tuple(self._tokenizer.encode_text(words))

    def _ids(self, text: str) -> tuple[int, ...]:
        return tuple(self._tokenizer.encode_template(text))
