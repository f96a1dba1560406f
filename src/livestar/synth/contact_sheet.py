"""A contact sheet: for each family a row of frames, each with the narration that is true of it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from math import ceil
from pathlib import Path
from textwrap import wrap

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from livestar.synth.catalogue import families, make_clip
from livestar.synth.clip import Clip, Event
from livestar.synth.split import Split

_CAPTION_PX = 46
_GAP_PX = 4


def contact_sheet(clips: Sequence[Clip], columns: int = 6, size: int = 224) -> NDArray[np.uint8]:
    """Returns a picture [H, W, 3] with one row per clip: each event at its first whole second."""
    cell_w, cell_h = size + _GAP_PX, size + _CAPTION_PX
    sheet = Image.new("RGB", (columns * cell_w, len(clips) * cell_h), "white")
    for row, clip in enumerate(clips):
        for column, event in enumerate(clip.events[:columns]):
            _paste(sheet, clip, event, (column * cell_w, row * cell_h), size)
    return np.asarray(sheet)


def _paste(sheet: Image.Image, clip: Clip, event: Event, corner: tuple[int, int], size: int) -> None:
    x, y = corner
    sheet.paste(Image.fromarray(clip.render(ceil(event.start_s), size)), corner)
    text = "\n".join(wrap(event.narration, size // 6))
    font = ImageFont.load_default(size=12)
    ImageDraw.Draw(sheet).multiline_text((x, y + size), text, "black", font, spacing=1)


def main(arguments: Sequence[str]) -> None:
    """Writes the sheet of all families: OUT.png [FIRST_SEED [CLIPS_PER_FAMILY [FAMILY…]]]."""
    path, *rest = arguments
    first, count = int(rest[0]) if rest else 0, int(rest[1]) if len(rest) > 1 else 1
    names = rest[2:] or [family.name for family in families()]
    clips = [make_clip(n, seed, 60, Split.TEST) for n in names for seed in range(first, first + count)]
    Image.fromarray(contact_sheet(clips)).save(Path(path))


if __name__ == "__main__":
    main(sys.argv[1:])
