"""Text to ids and back: sentencepiece for words, the added tokens for everything that steers the model.

Two ways in. `encode_template` is for our own strings: control tokens written out become control ids. `encode_text` is for words
that came from outside (captions, questions): nothing in them can become a control, image or other reserved id.

Source: published checkpoint layout (tokenizer.model, tokenizer_config.json).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby
from pathlib import Path
from typing import NamedTuple, Self

import sentencepiece

from livestar.core.errors import CheckpointError
from livestar.model.config import LiveStarConfig
from livestar.model.folder import read_json

MODEL_FILE = "tokenizer.model"
SETTINGS_FILE = "tokenizer_config.json"
SPACE = "▁"
UNUSED_PIECE = re.compile(r"\[UNUSED_TOKEN_\d+\]")
"""Spare pieces of the published vocabulary. Some carry the ids of added tokens (`<|im_start|>` is piece UNUSED_TOKEN_146), so
sentencepiece maps their spelling in any text to a control id; the others were never trained."""


class AddedToken(NamedTuple):
    """A token beside or on top of the sentencepiece vocabulary."""

    content: str
    special: bool


class Tokenizer:
    """The vocabulary of one checkpoint. Immutable, safe to share between threads.

    Args:
        pieces: the loaded sentencepiece model.
        added: id to token, complete; on top of `pieces` where ids coincide.
    """

    def __init__(self, pieces: sentencepiece.SentencePieceProcessor, added: Mapping[int, AddedToken]) -> None:
        self._pieces = pieces
        self._num_pieces: int = pieces.get_piece_size()
        self._added = dict(added)
        self._added_ids = {token.content: token_id for token_id, token in added.items()}
        longest_first = sorted(self._added_ids, key=len, reverse=True)
        self._split = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")
        self._bytes = {
            int(pieces.id_to_piece(i)[3:-1], 16): i for i in range(self._num_pieces) if pieces.is_byte(i)
        }
        self._byte_ids = {token_id: value for value, token_id in self._bytes.items()}
        self.reserved_ids: frozenset[int] = frozenset(self._added) | frozenset(
            i
            for i in range(self._num_pieces)
            if pieces.is_control(i) or pieces.is_unknown(i) or UNUSED_PIECE.fullmatch(pieces.id_to_piece(i))
        )

    @classmethod
    def from_directory(cls, directory: Path | str) -> Self:
        """Reads tokenizer.model and the added tokens of tokenizer_config.json.

        Raises:
            CheckpointError: a file is missing or unreadable.
        """
        path, settings = Path(directory) / MODEL_FILE, Path(directory) / SETTINGS_FILE
        added = read_json(settings).get("added_tokens_decoder") or {}
        try:
            tokens = {
                int(key): AddedToken(str(value["content"]), bool(value.get("special")))
                for key, value in added.items()
            }
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise CheckpointError(f"{settings} holds no readable added_tokens_decoder.") from error
        return cls(_read_pieces(path), tokens)

    def encode_template(self, text: str) -> list[int]:
        """Ids of a string of our own: split on added tokens, longest first; each run between them encoded as it is.

        No BOS is added. Never pass words from outside.
        """
        ids: list[int] = []
        end = 0
        for match in self._split.finditer(text):
            ids += self._pieces.encode(text[end : match.start()])
            ids.append(self._added_ids[match.group()])
            end = match.end()
        return ids + list(self._pieces.encode(text[end:]))

    def encode_text(self, text: str) -> list[int]:
        """Ids of words from outside; never one of `reserved_ids`, whatever the words spell.

        Ordinary text encodes exactly as sentencepiece does. Lone surrogates become question marks.
        """
        ids: list[int] = []
        for token_id in self._pieces.encode(text.encode("utf-8", "replace").decode("utf-8")):
            ids += self._spelled_out(token_id) if token_id in self.reserved_ids else (token_id,)
        return ids

    def _spelled_out(self, token_id: int) -> list[int]:
        """The ids of a reserved piece's letters: its halves are encoded apart until no reserved id is left."""
        if self._pieces.is_unknown(token_id):
            return []
        letters = self._letters(token_id)
        if len(letters) > 1:
            half = len(letters) // 2
            return self.encode_text(letters[:half]) + self.encode_text(letters[half:])
        return [self._bytes[value] for value in letters.encode() if value in self._bytes]

    def decode(self, ids: Iterable[int], *, skip_special: bool = True) -> str:
        """Text of ids.

        Args:
            ids: below the vocabulary's size; ids that no token has decode to nothing.
            skip_special: leave out the tokens that are marked special (not every added token is).
        """
        kept = [i for i in ids if self._has_text(i, skip_special=skip_special)]
        text = ""
        for is_added, run in groupby(kept, key=self._added.__contains__):
            same = list(run)
            text += "".join(self._added[i].content for i in same) if is_added else self._pieces.decode(same)
        return text

    def _has_text(self, token_id: int, *, skip_special: bool) -> bool:
        if token := self._added.get(token_id):
            return not (skip_special and token.special)
        return 0 <= token_id < self._num_pieces

    def spelling(self, token_id: int) -> bytes:
        """What one id contributes to a decoded text, as UTF-8; special tokens contribute nothing."""
        if not self._has_text(token_id, skip_special=True):
            return b""
        if token := self._added.get(token_id):
            return token.content.encode()
        if token_id in self._byte_ids:
            return bytes([self._byte_ids[token_id]])
        return self._letters(token_id).encode()

    def _letters(self, token_id: int) -> str:
        return str(self._pieces.id_to_piece(token_id)).replace(SPACE, " ")

    def is_byte(self, token_id: int) -> bool:
        """Whether an id stands for one raw byte of a longer character."""
        return token_id in self._byte_ids and token_id not in self._added

    def check_fits(self, config: LiveStarConfig) -> None:
        """Passes when every id has a row in the network and the needed tokens exist.

        Raises:
            CheckpointError: naming what does not fit.
        """
        rows = config.llm_config.vocab_size
        if self.vocab_size > rows:
            raise CheckpointError(
                f"The tokenizer's ids reach {self.vocab_size - 1}, but the network has {rows} rows."
            )
        needed = (self.bos_id, self.im_start_id, self.im_end_id, self.img_start_id, self.img_end_id)
        assert len(set(needed)) == len(needed), "ids are keys: two tokens cannot share one"
        if self.img_context_id != config.img_context_token_id:
            raise CheckpointError(
                f"<IMG_CONTEXT> is {self.img_context_id} in the tokenizer, but {config.img_context_token_id} in config.json."
            )

    def _needed(self, content: str) -> int:
        if content not in self._added_ids:
            raise CheckpointError(f"The tokenizer has no token {content}.")
        return self._added_ids[content]

    @property
    def vocab_size(self) -> int:
        """One more than the highest id."""
        return max(self._num_pieces, max(self._added, default=-1) + 1)

    @property
    def bos_id(self) -> int:
        """`<s>`, in front of every dialogue."""
        return self._needed("<s>")

    @property
    def im_start_id(self) -> int:
        """`<|im_start|>`, opens a turn."""
        return self._needed("<|im_start|>")

    @property
    def im_end_id(self) -> int:
        """`<|im_end|>`, closes a turn; the stop id of generation."""
        return self._needed("<|im_end|>")

    @property
    def img_start_id(self) -> int:
        """`<img>`."""
        return self._needed("<img>")

    @property
    def img_end_id(self) -> int:
        """`</img>`."""
        return self._needed("</img>")

    @property
    def img_context_id(self) -> int:
        """`<IMG_CONTEXT>`, the placeholder of one visual token."""
        return self._needed("<IMG_CONTEXT>")


def _read_pieces(path: Path) -> sentencepiece.SentencePieceProcessor:
    """Loads a sentencepiece model without its notes about the published vocabulary's NUL piece."""
    sentencepiece.SetMinLogLevel(2)
    try:
        return sentencepiece.SentencePieceProcessor(model_file=str(path))
    except (OSError, RuntimeError, ValueError) as error:
        raise CheckpointError(f"{path} is no readable sentencepiece model: {error}.") from error
