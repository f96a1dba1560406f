"""Text while it is being generated: ids in, whole characters out."""

from __future__ import annotations

from livestar.model.tokenizer import Tokenizer

REPLACEMENT = "�"


class StreamingDecoder:
    """Decodes one id at a time; what was emitted so far always equals `Tokenizer.decode` of the ids, up to the held-back bytes.

    Args:
        tokenizer: of the checkpoint.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._held = b""

    def push(self, token_id: int) -> str:
        """The text that this id completes; empty while a character still lacks bytes."""
        if self._tokenizer.is_byte(token_id):
            self._held += self._tokenizer.spelling(token_id)
            return self._take(final=False)
        if not (spelling := self._tokenizer.spelling(token_id)):
            return ""
        return self._take(final=True) + spelling.decode()

    def finish(self) -> str:
        """What the held-back bytes stand for: replacement characters."""
        return self._take(final=True)

    def _take(self, *, final: bool) -> str:
        """Whole characters from the front of the held bytes; a byte that can start none becomes a replacement character."""
        text = ""
        while self._held:
            size = _character_size(self._held)
            if size == 0 and not final:
                break
            text += self._held[:size].decode() if size > 0 else REPLACEMENT
            self._held = self._held[max(size, 1) :]
        return text


def _character_size(held: bytes) -> int:
    """Bytes of the character in front; 0 when it may still be completed, -1 when it never can be."""
    try:
        held.decode()
    except UnicodeDecodeError as error:
        if error.start == 0:
            return 0 if error.reason == "unexpected end of data" else -1
        held = held[: error.start]
    return len(held.decode()[0].encode())
