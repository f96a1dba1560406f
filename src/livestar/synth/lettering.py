"""Text as masks, in Pillow's own font: OpenCV's changed between versions 4 and 5."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

_CAPITAL_SHARE = 0.72
"""Height of a capital letter as a share of the font's size."""


@lru_cache(maxsize=2048)
def letters(text: str, capital_px: int) -> NDArray[np.uint8]:
    """Returns one line of text as a mask [H, W], 255 where there is ink; shared, so read only."""
    font = ImageFont.load_default(size=capital_px / _CAPITAL_SHARE)
    left, top, right, bottom = (round(v) for v in font.getbbox(text, stroke_width=0))
    bold = max(0, round(capital_px / 24))
    picture = Image.new("L", (right - left + 4 + 2 * bold, bottom - top + 4 + 2 * bold))
    ImageDraw.Draw(picture).text((2 + bold - left, 2 + bold - top), text, 255, font, stroke_width=bold)
    mask = np.asarray(picture).copy()
    mask.flags.writeable = False
    return mask
